-- The same for SQLite, made anew each time: windows of 1,200 characters that overlap by 200. SQLite has no regular
-- expressions, so a window may end inside a word.
DROP TABLE IF EXISTS rag_chunks;
CREATE TABLE rag_chunks AS
WITH RECURSIVE documents AS (
    SELECT instance, 'incident' AS source, sys_id, sys_id AS incident_sys_id, number, short_description AS title, url, text
    FROM   servicenow_incidents
    WHERE  text <> ''
    UNION ALL
    SELECT a.instance, 'attachment', a.sys_id, a.incident_sys_id, i.number, a.file_name, a.url, a.text
    FROM   servicenow_attachments a
    LEFT   JOIN servicenow_incidents i ON i.instance = a.instance AND i.sys_id = a.incident_sys_id
    WHERE  a.text <> '' AND a.text_status = 'extracted'
), windows AS (
    SELECT *, 1 AS position, 1 AS start FROM documents
    UNION ALL
    SELECT instance, source, sys_id, incident_sys_id, number, title, url, text, position + 1, start + 1000
    FROM   windows
    WHERE  start + 1200 <= length(text)
)
SELECT instance, source, sys_id, position, incident_sys_id, number, title, url, substr(text, start, 1200) AS content
FROM   windows;
