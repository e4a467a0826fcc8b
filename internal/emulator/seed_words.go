package emulator

import "strings"

// The made-up company's words. Fixed tables, never written to.
var (
	companyNames    = [...]string{"Kelpworks", "Brass Lantern Ltd", "Møllebakken A/S", "Quillon Systems", "Tarn & Fell", "Ōmizu Trading", "Duplex Cranes", "Sootfall Energy", "Pinecap Foods", "Ampersand \"&\" Sons", "Velo Norte", "Harrow Glass"}
	cityNames       = [...]string{"Stonequay", "Ærøhavn", "Marl Bridge", "Cinder Falls", "Łąkowo", "Puerto Ocaso", "Nordhöhe", "Westering", "Tidewick", "Kumomachi", "Gullhaven", "Old Sluice"}
	departmentNames = [...]string{"Logistics", "Finance", "Field Repair", "Research", "People", "Sales", "Plant Floor", "Legal"}
	groupNames      = [...]string{"Desk First Line", "Desk Second Line", "Wire Room", "Storage Keepers", "Mail Crew", "Identity Gate", "Plant Terminals", "Database Hands", "Night Watch", "Field Vans", "Printing", "Former Team"}
	roleNames       = [...]string{"itil", "snc_platform_rest_api_access", "admin", "personalize_dictionary"}
	firstNames      = [...]string{"Asta", "Bram", "Chiara", "Dmitri", "Élodie", "Fatou", "Gert", "Hanae", "Ioan", "Jæger", "Kwame", "Liesl", "Mirek", "Noor", "Oskar", "Priya", "Quim", "Rosa", "Søren", "Tuuli", "Ulla", "Vera", "Wout", "Ximena", "Yusuf", "Zoë"}
	lastNames       = [...]string{"Abbott", "Bøgh", "Castell", "Drăgan", "Eklund", "Ferreira", "Grønning", "Halloran", "Iwasaki", "Jarvis", "Kowal", "Lindqvist", "Mbeki", "Núñez", "O'Shea", "Petrov", "Quist", "Rao", "Sandoval", "Tanaka", "Underhill", "Van der Berg", "Weiß"}
	titles          = [...]string{"Crane operator", "Analyst", "Bookkeeper", "Engineer", "Planner", "Night clerk"}
	itemNames       = [...]string{"kiln-terminal", "dock-scanner", "mail-relay", "badge-reader", "plotter", "weigh-bridge", "thin-client", "core-switch", "file-cabinet", "van-tablet"}
	serviceNames    = [...]string{"Freight Booking", "Mail and Calendar", "Payroll Run", "Plant Floor Screens", "Staff Portal", "Dock Wi-Fi", "Archive", "Print Anywhere"}

	subjects = [...]string{
		"Badge reader rejects every card", "Dock scanner reboots when it rains", "Invoices print with blank totals",
		"Cannot sign in after the holiday", "Kiln terminal shows yesterday's numbers", "Mail to the harbour office bounces",
		"Weigh bridge reports negative loads", "Van tablet lost its maps", "Shared drive is read-only since lunch",
		"Payroll preview never finishes", "Second screen stays black", "Phone rings but nobody is there",
		"Staff portal logs out at random", "Old crane controller needs a new certificate", "Wi-Fi drops between gate three and four",
		"Plotter draws everything mirrored", "Calendar invites arrive an hour early", "Archive search finds nothing before spring",
		"Backup tape is stuck in the robot", "Keyboard layout switches by itself", "Label printer eats the labels",
		"Report takes all night", "New starter has no mailbox", "Web shop shows the wrong currency",
	}
	afterthoughts = [...]string{"at ", "for the team in ", "since Monday in ", "on the second floor of ", "once more in ", "after the move to "}

	sentences = [...]string{
		"It worked on Friday and nobody touched anything since.",
		"We restarted it twice and waited for ten minutes each time.",
		"The night shift wrote the readings down on paper meanwhile.",
		"A colleague at the next desk sees the same thing.",
		"There is a message but it disappears before anyone can read it.",
		"Please call before noon, the line is loud afterwards.",
		"The spare part arrived but does not fit the bracket.",
		"Customers have started to ask.",
		"It helps to unplug the blue cable, for about an hour.",
		"The vendor says it is our side.",
	}
	specialSubjects = [...]string{
		"🚨 Gate 3 siren won't stop 🔕", `Screen says "C:\temp\new" and "stop"`, "Formula a^b^ORc=1,2 breaks the report", "温度センサーが応答しない (Kumomachi)",
		"Zażółć gęślą jaźń – test of the label printer", "  leading and trailing blanks  ", "<b>Bold</b> move &amp; other entities", "=SUM(A1:A9) pasted into the subject",
	}
	closeNotes = [...]string{"Replaced the cable and watched it for an hour.", "Explained the two buttons.\nCaller is happy.", "Fixed by the change of last night – no trace since.", "Duplicate of an older ticket, see there."}
)

// plainParagraph is a few sentences chosen by two numbers.
func plainParagraph(a, b uint64) string {
	var text strings.Builder
	for i := range 2 + int(a%5) {
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(sentences[(a+b*uint64(i+1))%uint64(len(sentences))])
	}
	return text.String()
}

// descriptionPool are the descriptions incidents take, plain ones first; strange is where the others begin.
func descriptionPool() (pool []string, strange int) {
	for i := range 48 {
		pool = append(pool, plainParagraph(uint64(i), uint64(i*i+3)))
	}
	strange = len(pool)
	long := strings.Repeat("Every line of the log, because somebody asked for it. ", 74)
	return append(pool,
		"<html><body><p>Pasted from a mail:</p><ul><li>one &amp; two</li><li>\"three\"</li></ul><script>alert('x')</script></body></html>",
		"Emoji only helps so much: 🛠️🔥👩‍🔧 – naïve café, Ærø, 東京, עברית, नमस्ते",
		"Steps:\r\n\t1. open it\r\n\t2. close it\r\n\r\nResult:\n\n\tnothing\n",
		`He said "it's broken" and typed {"key": "va\\lue", 'x': [1,2]} into C:\Users\new`,
		"",
		"Control \u0001 characters \u001f and a \u2028 separator, and a \ufeff mark",
		long[:3990],
		"null",
	), strange
}
