# Built by goreleaser from the binaries of a release; it compiles nothing. The base holds certificates, time zones and a
# user without rights, and neither a shell nor a package manager.
FROM gcr.io/distroless/static-debian12:nonroot
ARG TARGETPLATFORM
COPY $TARGETPLATFORM/cq-source-servicenow /usr/local/bin/cq-source-servicenow
COPY LICENSE THIRD_PARTY_LICENSES.txt /usr/share/doc/cq-source-servicenow/
USER nonroot
ENTRYPOINT ["/usr/local/bin/cq-source-servicenow"]
CMD ["--help"]
