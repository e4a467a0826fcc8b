package extract

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// maxDirectory bounds a zip archive's directory, in bytes, before archive/zip makes a structure of each of its entries.
const maxDirectory = 4 << 20

// archive is a document that is a zip archive of parts.
type archive struct {
	d     *document
	files []*zip.File
	parts map[string]*zip.File // by the name as partName makes it
	seen  map[string]bool      // parts that were read, so that none is read over and over
	err   error                // the first error of a part that did not end the reading
}

// openArchive reads an archive's directory. With more than maxEntries entries it returns the archive and a limit.
func openArchive(d *document) (*archive, error) {
	directory := &directoryReader{r: d, left: maxDirectory + 128<<10}
	z, err := zip.NewReader(directory, d.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		if directory.left < 0 {
			err = errManyEntries()
		}
		return nil, fmt.Errorf("reading the zip directory: %w", err)
	}
	directory.opened = true // from here on the budget counts
	a := &archive{d: d, files: z.File[:min(len(z.File), maxEntries)], seen: map[string]bool{}}
	a.parts = make(map[string]*zip.File, len(a.files))
	for _, f := range a.files {
		if name := partName(f.Name); a.parts[name] == nil {
			a.parts[name] = f
		}
	}
	if len(z.File) > maxEntries {
		return a, errManyEntries()
	}
	return a, nil
}

func errManyEntries() error { return limit("it is an archive of more than %d files", maxEntries) }

// directoryReader bounds what is read while an archive is opened.
type directoryReader struct {
	r      io.ReaderAt
	left   int64
	opened bool
}

func (r *directoryReader) ReadAt(p []byte, offset int64) (int, error) {
	if !r.opened {
		if r.left -= int64(len(p)); r.left < 0 {
			return 0, errManyEntries()
		}
	}
	return r.r.ReadAt(p, offset)
}

// partName makes the names of parts comparable: some writers change the case, some use backslashes.
func partName(name string) string {
	return strings.ToLower(strings.TrimLeft(strings.ReplaceAll(name, `\`, "/"), "/"))
}

// has reports whether there is a part of that name.
func (a *archive) has(name string) bool { return a.parts[partName(name)] != nil }

// open opens a part. What it unpacks to is counted.
func (a *archive) open(ctx context.Context, name string) (io.ReadCloser, error) {
	f := a.parts[partName(name)]
	if f == nil {
		return nil, fmt.Errorf("opening %s: %w", name, fs.ErrNotExist)
	}
	if f.Flags&1 != 0 {
		return nil, errEncrypted
	}
	r, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	return struct {
		io.Reader
		io.Closer
	}{&contextReader{ctx, a.d.budget.reader(r)}, r}, nil
}

// walk calls a function with every token of a part.
func (a *archive) walk(ctx context.Context, name string, visit func(*xmlWalker, *xmlToken) error) error {
	r, err := a.open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	walker := newXMLWalker(r)
	if err := walker.each(func(token *xmlToken) error { return visit(walker, token) }); err != nil && !errors.Is(err, errDone) {
		return fmt.Errorf("reading %s: %w", path.Base(name), err)
	}
	return nil
}

// errDone ends a walk that has found what it looked for.
var errDone = errors.New("done")

// tolerate remembers a part's error and returns it only when nothing else can be read either: at the end of the time, of
// the budget or of the room for text, and when a password is needed.
func (a *archive) tolerate(ctx context.Context, w *text, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, errEncrypted) {
		return errEncrypted
	}
	if ctx.Err() != nil || a.d.budget.left <= 0 || w.err != nil {
		return err
	}
	if a.err == nil {
		a.err = err
	}
	return nil
}

// relationship leads from one part to another (ECMA-376 part 2, section 9.3).
type relationship struct {
	id     string
	kind   string // the last element of its type's address, such as "slide"
	target string // the name of the part that it leads to
}

// relationships returns where a part leads to inside the archive; "" is the archive itself. Links to parts that do not exist
// are left out, so there are no more than maxEntries of them for one kind.
func (a *archive) relationships(ctx context.Context, part string) []relationship {
	directory, base := path.Split(part)
	var all []relationship
	// A broken list is as good as a short one: the readers know the usual names.
	_ = a.walk(ctx, directory+"_rels/"+base+".rels", func(_ *xmlWalker, token *xmlToken) error {
		e, is := token, token.kind == xmlStart
		if !is || e.name != "Relationship" || e.attribute("TargetMode") == "External" {
			return nil
		}
		target := strings.ReplaceAll(e.attribute("Target"), `\`, "/")
		if !strings.HasPrefix(target, "/") {
			target = directory + target
		}
		target = strings.TrimPrefix(path.Clean("/"+target), "/")
		if !a.has(target) {
			return nil
		}
		if all = append(all, relationship{e.attribute("Id"), path.Base(e.attribute("Type")), target}); len(all) >= maxEntries {
			return errDone
		}
		return nil
	})
	return all
}

// mainPart returns the part that an Office document begins with.
func (a *archive) mainPart(ctx context.Context, usual string) string {
	for _, r := range a.relationships(ctx, "") {
		if r.kind == "officeDocument" {
			return r.target
		}
	}
	return usual
}

// named returns the parts whose name begins so, in the order of the numbers in their names.
func (a *archive) named(prefix string) []string {
	var names []string
	for name := range a.parts {
		if rest, is := strings.CutPrefix(name, prefix); is && strings.HasSuffix(name, ".xml") && !strings.Contains(rest, "/") {
			names = append(names, name)
		}
	}
	sort.Slice(names, func(i, j int) bool {
		if len(names[i]) != len(names[j]) {
			return len(names[i]) < len(names[j])
		}
		return names[i] < names[j]
	})
	return names
}

// first reports whether a part was not asked about before.
func (a *archive) first(part string) bool {
	part = partName(part)
	if a.seen[part] {
		return false
	}
	a.seen[part] = true
	return true
}

// zipKind tells by the parts inside what an archive is: docx, pptx, xlsx, odt, ods, odp, epub or zip, and of those that no
// reader knows xlsb. It returns "" for what is no readable archive.
func zipKind(d *document) string {
	// Looking inside must not cost the reader what it may unpack.
	a, err := openArchive(&document{ReaderAt: d, size: d.size, budget: &budget{left: 1 << 20}})
	if a == nil {
		return ""
	}
	if err != nil {
		return "zip"
	}
	ctx := context.Background()
	if kind := a.statedKind(ctx); kind != "" {
		return kind
	}
	if kind := a.officeKind(ctx); kind != "" {
		return kind
	}
	if a.has("content.xml") && a.has("META-INF/manifest.xml") {
		return a.bodyKind(ctx)
	}
	if a.has("META-INF/container.xml") {
		return "epub"
	}
	return "zip"
}

// statedKind reads the part "mimetype", with which OpenDocument files and books begin.
func (a *archive) statedKind(ctx context.Context) string {
	r, err := a.open(ctx, "mimetype")
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	stated, _ := io.ReadAll(io.LimitReader(r, 100))
	mediaType := strings.TrimSpace(string(stated))
	if mediaType == "application/epub+zip" {
		return "epub"
	}
	kind, is := strings.CutPrefix(mediaType, "application/vnd.oasis.opendocument.")
	switch {
	case !is:
	case strings.HasPrefix(kind, "text"):
		return "odt"
	case strings.HasPrefix(kind, "spreadsheet"):
		return "ods"
	case strings.HasPrefix(kind, "presentation"):
		return "odp"
	}
	return ""
}

// officeKind tells an Office document by the content type of its main part, or else by the usual names.
func (a *archive) officeKind(ctx context.Context) string {
	if !a.has("[Content_Types].xml") {
		return ""
	}
	main := a.mainPart(ctx, "")
	kind := ""
	if main != "" {
		_ = a.walk(ctx, "[Content_Types].xml", func(_ *xmlWalker, token *xmlToken) error {
			e, is := token, token.kind == xmlStart
			if !is || e.name != "Override" || partName(e.attribute("PartName")) != partName(main) {
				return nil
			}
			kind = officeContentType(e.attribute("ContentType"))
			return errDone
		})
	}
	switch {
	case kind != "":
		return kind
	case a.has("xl/workbook.bin"):
		return "xlsb"
	case a.has("word/document.xml"):
		return "docx"
	case a.has("xl/workbook.xml"):
		return "xlsx"
	case a.has("ppt/presentation.xml"):
		return "pptx"
	}
	return ""
}

func officeContentType(contentType string) string {
	contentType = strings.ToLower(contentType)
	for _, known := range [][2]string{
		{"wordprocessingml", "docx"},
		{"ms-word", "docx"},
		{"presentationml", "pptx"},
		{"ms-powerpoint", "pptx"},
		{"ms-excel.sheet.binary", "xlsb"},
		{"spreadsheetml", "xlsx"},
		{"ms-excel", "xlsx"},
	} {
		if strings.Contains(contentType, known[0]) {
			return known[1]
		}
	}
	return ""
}

// bodyKind tells an OpenDocument file that states no type by the element in its body.
func (a *archive) bodyKind(ctx context.Context) string {
	kind, inBody := "zip", false
	_ = a.walk(ctx, "content.xml", func(_ *xmlWalker, token *xmlToken) error {
		e, is := token, token.kind == xmlStart
		switch {
		case !is:
			return nil
		case !inBody:
			inBody = e.name == "body"
			return nil
		case e.name == "spreadsheet":
			kind = "ods"
		case e.name == "presentation":
			kind = "odp"
		case e.name == "text":
			kind = "odt"
		}
		return errDone
	})
	return kind
}
