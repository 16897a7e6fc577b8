package compose

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
)

// maxConfiguration bounds what is read of a proxy's configuration, in bytes.
const maxConfiguration = 16 << 20

// files are the regular files at or below a path in a container, by absolute
// path.
func (e *engine) files(ctx context.Context, id, folder string) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	u := url.URL{Scheme: "http", Host: "docker", Path: "/containers/" + id + "/archive", RawQuery: url.Values{"path": {folder}}.Encode()}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := e.client.Do(request)
	if err != nil {
		return nil, engineError(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		// It says what is not there; the rest of it is no concern of ours.
		return nil, fmt.Errorf("%s in %s: %w", folder, id, errGone)
	}
	return untar(io.LimitReader(response.Body, maxConfiguration), path.Dir(folder))
}

// untar reads the regular files of an archive whose names count from root, and
// follows its links. One that is cut short has those before the cut.
func untar(from io.Reader, root string) (map[string][]byte, error) {
	files, links := map[string][]byte{}, map[string]string{}
	archive := tar.NewReader(from)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("compose: the engine's archive cannot be read: %w", err)
		}
		name := path.Join(root, header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			text, err := io.ReadAll(archive)
			if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("compose: the engine's archive cannot be read: %w", err)
			}
			files[name] = text
		case tar.TypeSymlink:
			links[name] = header.Linkname
		}
	}
	for name, to := range links {
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		if text, ok := files[to]; ok {
			files[name] = text
		}
	}
	return files, nil
}
