-- Where the embeddings of rag_chunks go, with pgvector 0.5 or later. The length of the vectors is that of your model.
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TABLE IF NOT EXISTS rag_embeddings (
    content_md5 text PRIMARY KEY,
    embedding   vector(1536) NOT NULL
);
CREATE INDEX IF NOT EXISTS rag_embeddings_cosine ON rag_embeddings USING hnsw (embedding vector_cosine_ops);
