package emulator

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSeededAttachments(t *testing.T) {
	h := start(t, Config{})
	rows := h.rows(h.get("/api/now/attachment"))
	require.Len(t, rows, 60)
	tables, states := map[string]int{}, map[string]int{}
	for _, row := range rows {
		text := func(field string) string { return row[field].(string) }
		tables[text("table_name")]++
		states[text("state")]++
		require.Equal(t, h.server.URL+"/api/now/attachment/"+text("sys_id")+"/file", row["download_link"])
		a := h.get("/api/now/attachment/" + text("sys_id") + "/file")
		if text("state") != "available" {
			require.Equal(t, 403, a.StatusCode)
			require.Contains(t, a.Header.Get("Content-Type"), "application/json")
			continue
		}
		require.Equal(t, 200, a.StatusCode)
		require.EqualValues(t, -1, a.ContentLength)
		require.Equal(t, text("size_bytes"), strconv.Itoa(len(a.body)), text("file_name"))
		if text("hash") != "" {
			sum := sha256.Sum256(a.body)
			require.Equal(t, text("hash"), hex.EncodeToString(sum[:]))
		}
		var metadata map[string]any
		require.NoError(t, json.Unmarshal([]byte(a.Header.Get("X-Attachment-Metadata")), &metadata))
		require.Equal(t, text("file_name"), metadata["file_name"])
		if strings.HasSuffix(text("file_name"), ".docx") || strings.HasSuffix(text("file_name"), ".xlsx") || strings.HasSuffix(text("file_name"), ".zip") {
			_, err := zip.NewReader(bytes.NewReader(a.body), int64(len(a.body)))
			require.NoError(t, err, text("file_name"))
		}
	}
	for _, name := range []string{"incident", "task", "ZZ_YYincident", "problem", "sys_user"} {
		require.NotZero(t, tables[name], name)
	}
	require.NotZero(t, states["pending"])
	require.NotZero(t, states["not_available"])
	require.NotEmpty(t, h.ids("sys_attachment", "size_bytes=0"))
	require.NotContains(t, h.rows(h.get("/api/now/table/sys_attachment", "sysparm_limit", "1"))[0], "download_link")
	require.Empty(t, h.Violations())
}

func TestAttachmentsOfRecords(t *testing.T) {
	h := start(t, Config{Incidents: 10, Attachments: -1})
	ids := h.SysIDs("incident")
	content := []byte("hello")
	file := h.Attach("incident", ids[0], "a.txt", "text/plain", content)
	h.Attach("incident", ids[1], "b.txt", "text/plain", nil)
	before, _ := h.Record("incident", ids[0])
	require.Len(t, h.ids("sys_attachment", "table_sys_idIN"+ids[0]+","+ids[1]+","+ids[2]), 2)
	require.Equal(t, []string{file}, h.ids("sys_attachment", "table_name=incident^table_sys_id="+ids[0]))
	after, _ := h.Record("incident", ids[0])
	require.Equal(t, before, after, "attaching does not touch the record")

	a := h.get("/api/now/attachment/" + file)
	var metadata struct{ Result map[string]string }
	require.NoError(t, json.Unmarshal(a.body, &metadata))
	require.Equal(t, "5", metadata.Result["size_bytes"])
	require.Equal(t, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", metadata.Result["hash"])
	require.Equal(t, 404, h.get("/api/now/attachment/0123").StatusCode)
	require.Equal(t, 404, h.get("/api/now/attachment/0123/file").StatusCode)

	h.HideRows("incident", func(id string, _ func(string) string) bool { return id == ids[0] })
	list := h.get("/api/now/attachment")
	require.Len(t, h.rows(list), 1, "a file is as visible as its record")
	require.Equal(t, "2", list.Header.Get("X-Total-Count"))
	require.Equal(t, 404, h.get("/api/now/attachment/"+file+"/file").StatusCode)
	h.HideRows("incident", nil)

	h.Delete("incident", ids[0])
	require.Empty(t, h.ids("sys_attachment", "table_sys_id="+ids[0]))
	require.Equal(t, 404, h.get("/api/now/attachment/"+file+"/file").StatusCode)
}

func TestFaultsOfFilesAlone(t *testing.T) {
	h := start(t, Config{Incidents: 10, Attachments: -1})
	file := h.Attach("incident", h.SysIDs("incident")[0], "a.txt", "text/plain", []byte("hello"))
	h.SetFaults(Fault{Kind: FaultUnavailable, Files: true, From: 2})
	require.Equal(t, 200, h.get("/api/now/attachment/"+file).StatusCode)
	require.Equal(t, 200, h.get("/api/now/table/sys_attachment").StatusCode)
	require.Equal(t, 200, h.get("/api/now/attachment/"+file+"/file").StatusCode, "the first of files")
	require.Equal(t, 503, h.get("/api/now/attachment/"+file+"/file").StatusCode)
	require.Equal(t, 200, h.get("/api/now/table/sys_attachment").StatusCode)
}
