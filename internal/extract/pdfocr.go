package extract

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"math"

	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/requests"
)

const (
	maxOCRPages   = 20       // pages of one PDF that OCR reads
	ocrDPI        = 200      // dots per inch of a page that is drawn for OCR
	minOCRDPI     = 40       // a page that must be drawn coarser is not read
	maxPagePixels = 32 << 20 // of one drawn page, a byte each
)

// picture looks at a page with so few letters: if it is a picture it is read by OCR, or counted.
func (p *pdf) picture(ctx context.Context, page requests.Page, letters int) error {
	switch shows, err := p.showsPicture(page, letters); {
	case err != nil:
		return err
	case !shows:
		return nil
	case p.ocr == nil || p.recognised == maxOCRPages:
		p.pictures++
		return nil
	}
	drawn, dpi, err := p.draw(page)
	switch {
	case err != nil:
		return fmt.Errorf("drawing: %w", err)
	case drawn == nil:
		p.pictures++
		return nil
	}
	p.recognised++
	return p.ocr.recognise(ctx, bytes.NewReader(drawn), dpi, p.w)
}

// showsPicture reports whether there is more on a page than its letters. Without any, lines and curves count too: letters
// may have been turned into them.
func (p *pdf) showsPicture(page requests.Page, letters int) (bool, error) {
	objects, err := p.FPDFPage_CountObjects(&requests.FPDFPage_CountObjects{Page: page})
	if err != nil || letters == 0 {
		return err == nil && objects.Count > 0, err
	}
	const enough = 100 // a page of so few letters has few other objects, unless it is a drawing
	for i := range min(objects.Count, enough) {
		object, err := p.FPDFPage_GetObject(&requests.FPDFPage_GetObject{Page: page, Index: i})
		if err != nil {
			return false, err
		}
		kind, err := p.FPDFPageObj_GetType(&requests.FPDFPageObj_GetType{PageObject: object.PageObject})
		if err != nil {
			return false, err
		}
		if kind.Type == enums.FPDF_PAGEOBJ_IMAGE || kind.Type == enums.FPDF_PAGEOBJ_FORM { // a form may hold an image
			return true, nil
		}
	}
	return false, nil
}

// draw returns a page as a PNG in grey, and its dots per inch; nil when it is too large.
func (p *pdf) draw(page requests.Page) ([]byte, int, error) {
	size, err := p.GetPageSize(&requests.GetPageSize{Page: page}) // in points, 1/72 inch
	if err != nil {
		return nil, 0, err
	}
	dpi := ocrDPI
	if inches := size.Width / 72 * size.Height / 72; inches*ocrDPI*ocrDPI > maxPagePixels {
		dpi = int(math.Sqrt(maxPagePixels / inches))
	}
	if dpi < minOCRDPI {
		return nil, 0, nil
	}
	drawn, err := p.RenderPageInDPI(&requests.RenderPageInDPI{
		Page: page, DPI: dpi, ImageFormat: requests.RenderImageFormatGrayscale,
	})
	if err != nil {
		return nil, 0, err
	}
	defer drawn.Cleanup()
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, drawn.Result.RenderedImage)
	return out.Bytes(), dpi, err
}
