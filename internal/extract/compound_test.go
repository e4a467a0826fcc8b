package extract

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func compoundOf(name string) []byte {
	b, _ := buildCompound(cfbStorage("Root Entry", cfbStream("other", []byte("x")), cfbStream(name, bytes.Repeat([]byte("0123456789"), 1000))))
	return b
}

func compoundDocument(b []byte) *document {
	return &document{ReaderAt: bytes.NewReader(b), size: int64(len(b)), budget: newBudget()}
}

func TestCompoundKind(t *testing.T) {
	for name, want := range map[string]string{
		"__properties_version1.0": "msg",
		"EncryptedPackage":        "encrypted",
		"\tDRMContent":            "encrypted",
		"WordDocument":            "doc",
		"Workbook":                "xls",
		"Book":                    "xls",
		"PowerPoint Document":     "ppt",
		"Something":               "",
	} {
		require.Equal(t, want, compoundKind(compoundDocument(compoundOf(name))), name)
	}
	for _, b := range [][]byte{nil, []byte("text"), []byte(compoundSignature), make([]byte, 4096)} {
		require.Empty(t, compoundKind(compoundDocument(b)))
	}
}

func TestCompoundStreams(t *testing.T) {
	small, large := bytes.Repeat([]byte("small"), 50), bytes.Repeat([]byte("large"), 5000)
	b, _ := buildCompound(cfbStorage("Root Entry", cfbStream("Small", small), cfbStorage("In", cfbStream("Large", large), cfbStream("None", nil))))
	c, err := openCompound(compoundDocument(b))
	require.NoError(t, err)
	root := c.root()
	require.Len(t, root, 2)
	got, err := c.read(root["SMALL"], 1<<20)
	require.NoError(t, err)
	require.Equal(t, small, got)
	inner := c.children(root["IN"])
	got, err = c.read(inner["LARGE"], 1<<20)
	require.NoError(t, err)
	require.Equal(t, large, got)
	got, err = c.read(inner["LARGE"], 700)
	require.NoError(t, err)
	require.Equal(t, large[:700], got)
	got, err = c.read(inner["NONE"], 1<<20)
	require.NoError(t, err)
	require.Empty(t, got)
}

// A file with more tables than its header can name lists them in a chain of its own.
func TestCompoundChainOfTables(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB need 129 sectors of table
	b, layout := buildCompound(cfbStorage("Root Entry", cfbStream("Large", large)))
	le := binary.LittleEndian
	tables := (len(b) - layout.fatAt) / 512
	require.Greater(t, tables, 109)
	chain := bytes.Repeat([]byte{0xff}, 512)
	for i := 109; i < tables; i++ {
		le.PutUint32(chain[4*(i-109):], uint32((layout.fatAt-512)/512+i))
	}
	le.PutUint32(chain[508:], endOfChain)
	le.PutUint32(b[68:], uint32((len(b)-512)/512))
	le.PutUint32(b[72:], 1)
	b = append(b, chain...)
	c, err := openCompound(compoundDocument(b))
	require.NoError(t, err)
	got, err := c.read(c.root()["LARGE"], 16<<20)
	require.NoError(t, err)
	require.True(t, bytes.Equal(large, got))
}

func TestCompoundBudget(t *testing.T) {
	d := compoundDocument(compoundOf("Stream"))
	d.budget.left = 10
	c, err := openCompound(d)
	require.NoError(t, err)
	_, err = c.read(c.root()["STREAM"], 1<<20)
	var limit *limitError
	require.ErrorAs(t, err, &limit)
}

func FuzzCompound(f *testing.F) {
	f.Add(compoundOf("WordDocument"))
	f.Add(compoundOf("EncryptedPackage"))
	f.Add([]byte(compoundSignature))
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		defer func() { require.Less(t, time.Since(start), 5*time.Second) }()
		d := compoundDocument(b)
		compoundKind(d)
		c, err := openCompound(d)
		if err != nil {
			return
		}
		open := []compoundDir{c.root()}
		for len(open) > 0 {
			dir := open[len(open)-1]
			open = open[:len(open)-1]
			for _, e := range dir {
				if e.kind == compoundStorage {
					open = append(open, c.children(e))
					continue
				}
				got, _ := c.read(e, 1<<20)
				require.LessOrEqual(t, len(got), len(b))
			}
		}
	})
}
