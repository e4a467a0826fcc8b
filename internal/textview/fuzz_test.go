package textview_test

import (
	"strings"
	"testing"
)

// FuzzForm shows values of any kind in fields of each type: the text is plain, and its lines are those of the form.
func FuzzForm(f *testing.F) {
	f.Add("INC1 => INC1", "a\r\nb\x00\xff\u2028", "<p>x</p>", "\n\n\t ")
	f.Add(" => ", "Caller:\nState: 7", "\u202e", "")
	f.Fuzz(func(t *testing.T, number, description, review, caption string) {
		l := form()
		l.Sections[0].Caption, l.Sections[0].Elements[0].Label = caption, caption
		r := record{"number": number, "caller_id": number, "short_description": review, "description": description, "u_review": review, "approval_history": description}
		text := show(l, everything, r)
		requirePlain(t, text)
		if again := show(l, everything, r); again != text {
			t.Fatalf("%q and %q", text, again)
		}
		if strings.TrimSpace(number+description+review) == "" && strings.Contains(text, "Description") {
			t.Fatalf("an empty field is shown: %q", text)
		}
	})
}
