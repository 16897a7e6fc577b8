package replace

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

const accessList = "system.posix_acl_access"

// keepAttributes gives the file at to the extended attributes of the one at
// from: access control list, SELinux label, the user's own. Signatures of the
// content (IMA, EVM) are not for other content. A list that only the folder's
// default brought is taken off again.
func keepAttributes(from, to string) error {
	names, err := attributes(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "security.ima" || name == "security.evm" {
			continue
		}
		want, err := attribute(from, name)
		if err != nil {
			return err
		}
		if is, err := attribute(to, name); err == nil && bytes.Equal(is, want) {
			continue
		}
		if err := syscall.Setxattr(to, name, want, 0); err != nil {
			return fmt.Errorf("its attribute %s cannot be given to the new file (%w); run as root, or remove it with setfattr -x", name, err)
		}
	}
	brought, err := attributes(to)
	if err != nil || slices.Contains(names, accessList) || !slices.Contains(brought, accessList) {
		return err
	}
	return syscall.Removexattr(to, accessList)
}

// attributes lists a file's extended attributes; none where the file system has
// no such thing.
func attributes(path string) ([]string, error) {
	list, err := sized(func(buf []byte) (int, error) { return syscall.Listxattr(path, buf) })
	if errors.Is(err, syscall.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("its extended attributes cannot be listed: %w", err)
	}
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }), nil
}

func attribute(path, name string) ([]byte, error) {
	value, err := sized(func(buf []byte) (int, error) { return syscall.Getxattr(path, name, buf) })
	if err != nil {
		return nil, fmt.Errorf("its extended attribute %s cannot be read: %w", name, err)
	}
	return value, nil
}

// sized calls get with a buffer of the size it asks for.
func sized(get func([]byte) (int, error)) ([]byte, error) {
	for {
		size, err := get(nil)
		if err != nil || size == 0 {
			return nil, err
		}
		buf := make([]byte, size)
		n, err := get(buf)
		if errors.Is(err, syscall.ERANGE) {
			continue // it grew meanwhile
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}
