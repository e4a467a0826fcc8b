-- Cuts the text of incidents and attachments into chunks for retrieval. PostgreSQL; run it after every sync.
--
-- A text that did not change is left alone. Chunks have about 1,200 characters, end between words, and begin with the end
-- of the chunk before, so that a sentence across the cut is whole in one of them.
BEGIN;

CREATE TABLE IF NOT EXISTS rag_documents (
    instance   text NOT NULL,
    source     text NOT NULL, -- incident or attachment
    sys_id     text NOT NULL,
    text_md5   text NOT NULL,
    PRIMARY KEY (instance, source, sys_id)
);

CREATE TABLE IF NOT EXISTS rag_chunks (
    instance        text NOT NULL,
    source          text NOT NULL,
    sys_id          text NOT NULL,
    position        integer NOT NULL, -- from 1
    incident_sys_id text NOT NULL,
    number          text,             -- of the incident
    title           text,             -- short description, or file name
    url             text,
    content         text NOT NULL,
    content_md5     text NOT NULL,    -- what an embedding belongs to: equal texts need one
    PRIMARY KEY (instance, source, sys_id, position)
);
CREATE INDEX IF NOT EXISTS rag_chunks_content_md5 ON rag_chunks (content_md5);

CREATE TEMPORARY TABLE rag_now ON COMMIT DROP AS
SELECT i.instance, 'incident' AS source, i.sys_id, i.sys_id AS incident_sys_id, i.number, i.short_description AS title, i.url, i.text,
       md5(concat_ws(E'\n', i.number, i.short_description, i.text)) AS text_md5
FROM   servicenow_incidents i
WHERE  i.text <> ''
UNION ALL
SELECT a.instance, 'attachment', a.sys_id, a.incident_sys_id, i.number, a.file_name, a.url, a.text,
       md5(concat_ws(E'\n', i.number, a.file_name, a.text))
FROM   servicenow_attachments a
LEFT   JOIN servicenow_incidents i ON i.instance = a.instance AND i.sys_id = a.incident_sys_id
WHERE  a.text <> '' AND a.text_status = 'extracted';

-- What changed, and what is gone.
DELETE FROM rag_documents d
WHERE  NOT EXISTS (SELECT FROM rag_now n
                   WHERE (n.instance, n.source, n.sys_id, n.text_md5) = (d.instance, d.source, d.sys_id, d.text_md5));
DELETE FROM rag_chunks c
WHERE  NOT EXISTS (SELECT FROM rag_documents d WHERE (d.instance, d.source, d.sys_id) = (c.instance, c.source, c.sys_id));

INSERT INTO rag_chunks
WITH changed AS (
    SELECT n.*
    FROM   rag_now n
    WHERE  NOT EXISTS (SELECT FROM rag_documents d WHERE (d.instance, d.source, d.sys_id) = (n.instance, n.source, n.sys_id))
), pieces AS ( -- up to 200 characters that end between words, or 200 characters where there is no space
    SELECT c.instance, c.source, c.sys_id, p.n, p.match[1] AS piece,
           sum(length(p.match[1])) OVER (PARTITION BY c.instance, c.source, c.sys_id ORDER BY p.n) AS through
    FROM   changed c
    CROSS  JOIN LATERAL regexp_matches(c.text, '(.{1,200}(?=\s|$)\s*|.{200})', 'g') WITH ORDINALITY AS p(match, n)
), placed AS (
    SELECT instance, source, sys_id, n, piece, ((through - length(piece)) / 1000 + 1)::integer AS position,
           lag(piece) OVER (PARTITION BY instance, source, sys_id ORDER BY n) AS before
    FROM   pieces
), chunks AS (
    SELECT instance, source, sys_id, position,
           btrim(coalesce((array_agg(before ORDER BY n))[1], '') || string_agg(piece, '' ORDER BY n), E' \t\r\n') AS content
    FROM   placed
    GROUP  BY instance, source, sys_id, position
)
SELECT k.instance, k.source, k.sys_id, row_number() OVER (PARTITION BY k.instance, k.source, k.sys_id ORDER BY k.position),
       c.incident_sys_id, c.number, c.title, c.url, k.content, md5(k.content)
FROM   chunks k
JOIN   changed c USING (instance, source, sys_id)
WHERE  k.content <> '';

INSERT INTO rag_documents
SELECT instance, source, sys_id, text_md5 FROM rag_now
ON CONFLICT DO NOTHING;

COMMIT;
