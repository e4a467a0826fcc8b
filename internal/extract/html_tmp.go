package extract

// HTML is here until html.go is.
func HTML(source string) string { return source }

// Readable is here until detect.go has it.
func Readable(name, contentType string) bool { return true }
