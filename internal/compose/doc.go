// Package compose keeps one service of a Docker Compose project at a number of
// replicas.
//
// What runs is read from the engine, over one connection that the user's own
// docker command makes (docker system dial-stdio), so that contexts, TLS and
// ssh apply as they do by hand. What moves is moved by docker compose itself,
// with commands that a person can repeat. The count is carried in an override
// file, in which one scalar changes and nothing else.
//
// Which project that is, is read from what runs: its containers' labels name
// project, folder and files. Scaling is never starting: no image is built or
// pulled, no other service is touched, no running replica is recreated.
package compose
