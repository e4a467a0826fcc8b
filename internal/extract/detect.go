package extract

// format is a kind of file: the media type that its content shows, and what reads it. A format without a reader is
// unsupported.
type format struct {
	mediaType string
	read      reader
}

// detect finds a document's format.
func detect(d *document) format {
	return format{}
}
