package extract

import "strings"

// kind sorts files by what can read them, as far as their names and stated types tell.
type kind int

const (
	unknown kind = iota // only the content can tell
	readable
	picture
	media // audio and video
	oldOffice
	other // no text, and no service for it: programs, fonts, archives other than zip
)

// Readable reports whether a file may hold text that this package reads, from what is known before its content. It is false
// only where the name and the stated type agree on a format without text, or one of them does and the other says nothing.
func Readable(name, contentType string) bool {
	switch kindOf(name, contentType) {
	case picture, media, other:
		return false
	}
	return true // the old office formats too: what has such a name is often a page or a newer format
}

// Image reports whether a file is a picture, for a program that reads the text in it.
func Image(name, contentType string) bool { return kindOf(name, contentType) == picture }

// Media reports whether a file is audio or video, for a service that transcribes it.
func Media(name, contentType string) bool { return kindOf(name, contentType) == media }

// OldOffice reports whether a file is in a binary format of Office up to 2003, for a service that reads those.
func OldOffice(name, contentType string) bool { return kindOf(name, contentType) == oldOffice }

// kindOf returns a file's kind; unknown when its name and its stated type contradict each other.
func kindOf(name, contentType string) kind {
	byName, byType := extensionKind(extension(name)), typeKind(baseType(contentType))
	switch {
	case byName == byType, byType == unknown:
		return byName
	case byName == unknown:
		return byType
	case byName != readable && byType != readable && byName != oldOffice && byType != oldOffice:
		return byName // of neither is there any text to read
	}
	return unknown
}

func extensionKind(extension string) kind {
	switch extension {
	case "doc", "dot", "xls", "xlt", "xlsb", "ppt", "pps", "pot", "vsd", "pub", "mpp", "wps", "wpd":
		return oldOffice
	case "png", "jpg", "jpeg", "jpe", "jfif", "gif", "bmp", "dib", "tif", "tiff", "webp", "heic", "heif", "avif", "ico", "jp2",
		"jxl", "psd":
		return picture
	case "mp3", "wav", "m4a", "aac", "flac", "ogg", "oga", "opus", "wma", "amr", "aif", "aiff", "mid", "midi", "mp4", "m4v", "mov",
		"avi", "mkv", "webm", "wmv", "mpg", "mpeg", "flv", "3gp", "3g2", "ogv":
		return media
	case "exe", "dll", "msi", "msp", "com", "scr", "sys", "so", "dylib", "bin", "class", "jar", "war", "ear", "apk", "ipa", "deb", "rpm",
		"dmg", "pkg", "iso", "img", "vhd", "vhdx", "vmdk", "ova", "cab",
		"7z", "rar", "gz", "tgz", "tar", "bz2", "tbz2", "xz", "txz", "zst", "lz", "lz4", "lzma", "z", "arj", "lzh",
		"ttf", "otf", "woff", "woff2", "eot", "ttc",
		"dmp", "mdmp", "etl", "pcap", "pcapng", "evtx", "pst", "ost", "mdb", "accdb", "sqlite", "db", "lnk", "wasm", "pyc", "o", "a",
		"p7s", "p12", "pfx", "jks", "keystore", "dwg", "emf", "wmf", "cur", "swf", "parquet":
		return other
	}
	if extensionFormat(extension).read != nil {
		return readable
	}
	return unknown
}

func typeKind(mediaType string) kind {
	switch mediaType {
	case "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/vnd.visio",
		"application/vnd.ms-project", "application/vnd.ms-excel.sheet.binary.macroenabled.12", "application/x-msexcel":
		return oldOffice
	case "application/x-msdownload", "application/x-msdos-program", "application/vnd.microsoft.portable-executable",
		"application/x-executable", "application/x-sharedlib", "application/x-msi", "application/java-archive",
		"application/x-java-archive", "application/vnd.android.package-archive",
		"application/gzip", "application/x-gzip", "application/x-tar", "application/x-7z-compressed", "application/vnd.rar",
		"application/x-rar-compressed", "application/x-rar", "application/x-bzip2", "application/x-xz", "application/zstd",
		"application/vnd.ms-cab-compressed", "application/x-iso9660-image", "application/x-apple-diskimage",
		"application/x-rpm", "application/vnd.debian.binary-package", "application/vnd.ms-fontobject", "application/font-woff",
		"application/x-font-ttf", "application/wasm", "application/vnd.tcpdump.pcap", "application/x-pkcs12",
		"application/x-shockwave-flash":
		return other
	case "application/ogg":
		return media
	}
	if typeFormat(mediaType).read != nil { // svg is an image whose text can be read
		return readable
	}
	switch family, _, _ := strings.Cut(mediaType, "/"); family {
	case "image":
		return picture
	case "audio", "video":
		return media
	case "font":
		return other
	}
	return unknown
}
