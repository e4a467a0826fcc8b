package extract

// HTML is here until html.go is.
func HTML(source string) string { return source }
