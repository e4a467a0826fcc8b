package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// signingKey reads the key and picks the method: the one asked for, or else the natural one of the key.
// ServiceNow takes RS, ES and HS with 256, 384 and 512 bits (create-jwt-endpoint.md).
func signingKey(material []byte, algorithm string) (jwt.SigningMethod, any, error) {
	if strings.HasPrefix(algorithm, "HS") {
		method := jwt.GetSigningMethod(algorithm)
		if method == nil {
			return nil, nil, fmt.Errorf("the algorithm %q is not known", shorten(algorithm, 20))
		}
		return method, material, nil
	}
	key, err := parsePEM(material)
	if err != nil {
		return nil, nil, err
	}
	var natural, family string
	switch key := key.(type) {
	case *rsa.PrivateKey:
		natural, family = "RS256", "RS"
	case *ecdsa.PrivateKey:
		bits := key.Curve.Params().BitSize
		natural = map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[bits]
		if natural == "" {
			return nil, nil, fmt.Errorf("no ES algorithm fits a curve of %d bits", bits)
		}
		family = natural // RFC 7518 section 3.4 ties each curve to one algorithm
	default:
		return nil, nil, errors.New("the key is neither RSA nor EC")
	}
	if algorithm == "" {
		algorithm = natural
	}
	method := jwt.GetSigningMethod(algorithm)
	if method == nil || !strings.HasPrefix(algorithm, family) {
		return nil, nil, fmt.Errorf("the algorithm %q does not fit the key, whose own is %s", shorten(algorithm, 20), natural)
	}
	if _, err := method.Sign("trial", key); err != nil { // a key too short fails now rather than in the sync
		return nil, nil, fmt.Errorf("signing a trial: %w", err)
	}
	return method, key, nil
}

func parsePEM(material []byte) (any, error) {
	if !bytes.Contains(material, []byte("\n")) { // an environment variable often holds \n as two characters
		material = bytes.ReplaceAll(material, []byte(`\n`), []byte("\n"))
	}
	for block, rest := pem.Decode(material); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the key is encrypted with a passphrase")
		case block.Type == "RSA PRIVATE KEY":
			return readKey(x509.ParsePKCS1PrivateKey(block.Bytes))
		case block.Type == "EC PRIVATE KEY":
			return readKey(x509.ParseECPrivateKey(block.Bytes))
		case block.Type == "PRIVATE KEY":
			return readKey(x509.ParsePKCS8PrivateKey(block.Bytes))
		} // anything else, such as EC PARAMETERS or a certificate, may stand before the key
	}
	return nil, errors.New("no PEM block with a private key found")
}

// readKey does not pass the parser's error on, which could quote what it read.
func readKey[K any](key K, err error) (any, error) {
	if err != nil {
		return nil, errors.New("the PEM block does not hold the key it says")
	}
	return key, nil
}
