-- Without embeddings: full-text search over the chunks, the best ones first.
SELECT c.number, c.source, c.title, c.url, c.content,
       ts_rank(to_tsvector('english', c.content), q) AS rank
FROM   rag_chunks c, websearch_to_tsquery('english', 'printer labels') q
WHERE  to_tsvector('english', c.content) @@ q
ORDER  BY rank DESC
LIMIT  5;
