package spec

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// parse reads a spec with blocks beside a valid address and sign-in.
func parse(t *testing.T, blocks map[string]any) (*Spec, error) {
	t.Helper()
	s := map[string]any{"instance_subdomain": "example", "auth": map[string]any{"grant_type": "api_key", "api_key": "k"}}
	maps.Copy(s, blocks)
	data, err := json.Marshal(s)
	require.NoError(t, err)
	return Parse(data)
}

func attachments(keys map[string]any) map[string]any { return map[string]any{"attachments": keys} }

func TestAttachmentDefaults(t *testing.T) {
	s, err := parse(t, nil)
	require.NoError(t, err)
	a := s.Attachments
	require.Equal(t, ContentColumn, a.Content)
	require.Equal(t, "text", a.Formats)
	require.True(t, *a.ExtractText)
	require.True(t, a.Wanted())
	require.Equal(t, time.Hour, a.SignedURLs.Duration())
	require.EqualValues(t, 50<<20, a.MaxSize)
	require.Equal(t, "auto", a.OCR)
	require.Equal(t, "eng", a.OCRLanguages)
	require.Equal(t, "whisper-1", a.TranscriptionModel)
	require.Equal(t, RecordColumn, s.Incidents.Record)

	s, err = parse(t, attachments(map[string]any{"blob_url": "s3://b"}))
	require.NoError(t, err)
	require.Equal(t, RecordBoth, s.Incidents.Record, "with a store, the record goes there too")

	for _, test := range []struct {
		content string
		text    bool
		wanted  bool
	}{{ContentNone, false, false}, {ContentNone, true, true}, {ContentColumn, false, true}} {
		s, err = parse(t, attachments(map[string]any{"content": test.content, "extract_text": test.text}))
		require.NoError(t, err)
		require.Equal(t, test.wanted, s.Attachments.Wanted(), "%+v", test)
	}
}

func TestAttachmentKeysThatAreAccepted(t *testing.T) {
	for name, keys := range map[string]map[string]any{
		"S3":                        {"content": "blob", "blob_url": "s3://my-bucket?prefix=a/&region=eu-central-1"},
		"Google":                    {"content": "blob", "blob_url": "gs://my-bucket"},
		"Azure":                     {"content": "blob", "blob_url": "azblob://my-container"},
		"a directory":               {"content": "blob", "blob_url": "file:///var/lib/servicenow"},
		"large files in a store":    {"content": "blob", "blob_url": "s3://b", "max_size": "10GiB"},
		"large files without":       {"content": "none", "max_size": "10GiB"},
		"the largest in a column":   {"max_size": "64MiB"},
		"the smallest":              {"max_size": "1KiB"},
		"decimal sizes":             {"max_size": "20MB"},
		"no signatures":             {"signed_urls": "0s"},
		"the longest signatures":    {"signed_urls": "168h"},
		"a service with its key":    {"transcription_url": "https://whisper:8080/v1/audio/transcriptions", "transcription_key": "k", "transcription_model": "large"},
		"Tika":                      {"tika_url": "http://tika:9998"},
		"languages":                 {"ocr": "auto", "ocr_languages": "eng+deu+chi_sim"},
		"a store for records alone": {"content": "column", "blob_url": "s3://b"},
	} {
		_, err := parse(t, attachments(keys))
		require.NoError(t, err, name)
	}
	for _, record := range []string{RecordColumn, RecordBlob, RecordBoth} {
		s, err := parse(t, map[string]any{"attachments": map[string]any{"blob_url": "s3://b"}, "incidents": map[string]any{"record": record}})
		require.NoError(t, err)
		require.Equal(t, record, s.Incidents.Record)
	}
}

func TestAttachmentKeysThatAreRefused(t *testing.T) {
	const address = "write an address such as s3://my-bucket, gs://my-bucket, azblob://my-container or file:///directory"
	const directory = "write three slashes before an absolute directory, such as file:///var/lib/servicenow"
	const size = "write a size from 1KiB to 10GiB, such as 50MiB"
	const signed = "write a duration from 0s to 168h, such as 1h"
	for name, test := range map[string]struct {
		keys          map[string]any
		path, message string
	}{
		"another content":             {map[string]any{"content": "file"}, "attachments.content", "write one of column, blob, none"},
		"another choice of formats":   {map[string]any{"formats": "pdf"}, "attachments.formats", "write one of text, all"},
		"another choice of ocr":       {map[string]any{"ocr": "on"}, "attachments.ocr", "write one of auto, off"},
		"languages as a list":         {map[string]any{"ocr_languages": "eng,deu"}, "attachments.ocr_languages", "pattern"},
		"languages as an option":      {map[string]any{"ocr_languages": "eng --psm"}, "attachments.ocr_languages", "pattern"},
		"text for a choice":           {map[string]any{"extract_text": "yes"}, "attachments.extract_text", "write true or false"},
		"an unknown key":              {map[string]any{"max_bytes": 1}, "attachments.max_bytes", "known are blob_url, content, extract_text"},
		"blob without a store":        {map[string]any{"content": "blob"}, "attachments.blob_url", "say where the files go"},
		"a store without a scheme":    {map[string]any{"blob_url": "my-bucket"}, "attachments.blob_url", address},
		"a store of another kind":     {map[string]any{"blob_url": "ftp://x/y"}, "attachments.blob_url", address},
		"a store in memory":           {map[string]any{"blob_url": "mem://"}, "attachments.blob_url", address},
		"a bucket without a name":     {map[string]any{"blob_url": "s3://"}, "attachments.blob_url", address},
		"no address at all":           {map[string]any{"blob_url": "s3://%zz"}, "attachments.blob_url", address},
		"credentials in the address":  {map[string]any{"blob_url": "s3://id:canary@b"}, "attachments.blob_url", "leave user name and password out of the address"},
		"a relative directory":        {map[string]any{"blob_url": "file://data/x"}, "attachments.blob_url", directory},
		"a directory without slashes": {map[string]any{"blob_url": "file:data"}, "attachments.blob_url", directory},
		"the root":                    {map[string]any{"blob_url": "file:///"}, "attachments.blob_url", directory},
		"the root, by a detour":       {map[string]any{"blob_url": "file:///a/.."}, "attachments.blob_url", directory},
		"a size without a unit word":  {map[string]any{"max_size": "big"}, "attachments.max_size", size},
		"a number as a size":          {map[string]any{"max_size": 5000}, "attachments.max_size", "write a text"},
		"a size that is too small":    {map[string]any{"max_size": "1023B"}, "attachments.max_size", size},
		"a size that is too large":    {map[string]any{"content": "none", "max_size": "11GiB"}, "attachments.max_size", size},
		"a negative size":             {map[string]any{"max_size": "-1MiB"}, "attachments.max_size", size},
		"a size beyond numbers":       {map[string]any{"max_size": "99999999999EiB"}, "attachments.max_size", size},
		"an empty size":               {map[string]any{"max_size": ""}, "attachments.max_size", size},
		"too large for a column":      {map[string]any{"max_size": "65MiB"}, "attachments.max_size", "write 64MiB or less with content: column"},
		"signatures for ever":         {map[string]any{"signed_urls": "169h"}, "attachments.signed_urls", signed},
		"negative signatures":         {map[string]any{"signed_urls": "-1s"}, "attachments.signed_urls", signed},
		"signatures in words":         {map[string]any{"signed_urls": "a day"}, "attachments.signed_urls", signed},
		"signatures as a number":      {map[string]any{"signed_urls": 60}, "attachments.signed_urls", "write a text"},
		"Tika without a scheme":       {map[string]any{"tika_url": "tika:9998"}, "attachments.tika_url", "write a whole address, such as http://tika:9998"},
		"Tika without a host":         {map[string]any{"tika_url": "http://"}, "attachments.tika_url", "write a whole address"},
		"Tika with a password":        {map[string]any{"tika_url": "http://u:canary@tika"}, "attachments.tika_url", "leave user name and password out of the address"},
		"a service without a scheme":  {map[string]any{"transcription_url": "whisper"}, "attachments.transcription_url", "write a whole address"},
		"a key without a service":     {map[string]any{"transcription_key": "canary"}, "attachments.transcription_key", "say in transcription_url which service this key is for"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, attachments(test.keys))
			requireProblem(t, err, test.path, test.message)
			require.NotContains(t, err.Error(), "canary")
			// The same key of an item is told by the item's path.
			data, jsonErr := json.Marshal(map[string]any{
				"auth":      map[string]any{"grant_type": "api_key", "api_key": "k"},
				"instances": []any{map[string]any{"name": "x", "instance_subdomain": "x", "attachments": test.keys}},
			})
			require.NoError(t, jsonErr)
			_, err = Parse(data)
			requireProblem(t, err, "instances[0]."+test.path, test.message)
		})
	}
	for _, record := range []string{RecordBlob, RecordBoth} {
		_, err := parse(t, map[string]any{"incidents": map[string]any{"record": record}})
		requireProblem(t, err, "incidents.record", "say in attachments.blob_url where the files go, or write column")
	}
	_, err := parse(t, map[string]any{"incidents": map[string]any{"record": "file"}})
	requireProblem(t, err, "incidents.record", "write one of column, blob, both")
}

func requireProblem(t *testing.T, err error, path, message string) {
	t.Helper()
	var invalid *InvalidError
	require.True(t, errors.As(err, &invalid), "%v", err)
	for _, p := range invalid.Problems {
		if p.Path == path {
			require.Contains(t, p.Message, message)
			return
		}
	}
	t.Fatalf("no problem at %s: %v", path, err)
}

// What one item writes is not another's, nor that of the keys above.
func TestItemsShareNoAttachmentKeys(t *testing.T) {
	s, err := Parse([]byte(`{
		"auth":{"grant_type":"api_key","api_key":"k"},
		"attachments":{"extract_text":true,"signed_urls":"2h","max_size":"10MiB","blob_url":"s3://top","content":"blob"},
		"instances":[
			{"name":"a","instance_subdomain":"a","attachments":{"extract_text":false,"signed_urls":"5m","max_size":"1MiB","content":"none"}},
			{"name":"b","instance_subdomain":"b"},
			{"name":"c","instance_subdomain":"c","attachments":{"blob_url":"","content":"column","signed_urls":"0s"},"incidents":{"record":"column"}}]}`))
	require.NoError(t, err)
	a, b, c := s.Instances[0].Attachments, s.Instances[1].Attachments, s.Instances[2].Attachments
	require.False(t, *a.ExtractText)
	require.True(t, *b.ExtractText)
	require.True(t, *c.ExtractText)
	require.Equal(t, 5*time.Minute, a.SignedURLs.Duration())
	require.Equal(t, 2*time.Hour, b.SignedURLs.Duration())
	require.Zero(t, c.SignedURLs.Duration())
	require.EqualValues(t, 1<<20, a.MaxSize)
	require.EqualValues(t, 10<<20, b.MaxSize)
	require.Equal(t, "s3://top", a.BlobURL)
	require.Equal(t, RecordBoth, s.Instances[1].Incidents.Record)
	require.Empty(t, c.BlobURL)
	require.NotSame(t, b.ExtractText, s.Attachments.ExtractText)
	require.NotSame(t, b.SignedURLs, s.Attachments.SignedURLs)

	// Without a block of its own, or above, an item has the defaults.
	s, err = Parse([]byte(`{"auth":{"grant_type":"api_key","api_key":"k"},"instances":[{"name":"a","instance_subdomain":"a","attachments":{"extract_text":false}},{"name":"b","instance_subdomain":"b"}]}`))
	require.NoError(t, err)
	require.False(t, *s.Instances[0].Attachments.ExtractText)
	require.True(t, *s.Instances[1].Attachments.ExtractText)
	require.Equal(t, time.Hour, s.Instances[1].Attachments.SignedURLs.Duration())
}

func TestSizesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, text := range []string{"1KiB", "1025B", "50MiB", "64MiB", "1536KiB", "10GiB"} {
		size, err := ParseSize(text)
		require.NoError(t, err, text)
		data, err := json.Marshal(size)
		require.NoError(t, err)
		require.Equal(t, `"`+text+`"`, string(data))
		var again Size
		require.NoError(t, json.Unmarshal(data, &again))
		require.Equal(t, size, again)
	}
}
