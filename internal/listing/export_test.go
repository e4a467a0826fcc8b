package listing

// CheckToken reads a token for a listing that printed none.
func CheckToken(token string) error {
	p := plan{}
	_, err := p.position(token)
	return err
}
