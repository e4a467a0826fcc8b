package localsync

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const (
	startTimeout = 30 * time.Second
	// stopGrace is how long the child has between the interrupt and the kill.
	stopGrace = 5 * time.Second
)

// child is the source plugin's process.
type child struct {
	cmd     *exec.Cmd
	log     *childLog
	exited  chan struct{}
	exitErr error // set before exited closes
	conn    *grpc.ClientConn
}

// startChild starts the source plugin on the unix socket and returns once it listens.
func startChild(ctx context.Context, command []string, socket string, s *sourceConfig, level string, log *childLog) (*child, error) {
	c := &child{log: log, exited: make(chan struct{})}
	args := append([]string(nil), command[1:]...)
	args = append(args, "--network", "unix", "--address", socket, "--log-level", level, "--log-format", "json")
	if s.otelEndpoint != "" {
		args = append(args, "--otel-endpoint", s.otelEndpoint)
	}
	if s.otelInsecure {
		args = append(args, "--otel-endpoint-insecure")
	}
	c.cmd = exec.Command(command[0], args...)
	stdout, stderr := log.writer(), log.writer()
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	c.cmd.SysProcAttr = childAttributes()
	c.cmd.WaitDelay = stopGrace // a grandchild that keeps the pipes open must not keep us waiting

	started := make(chan error)
	go func() {
		// On Linux the child is killed when the thread that started it ends, so the thread has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.exitErr = c.cmd.Wait()
		}
		stdout.end()
		stderr.end()
		close(c.exited)
	}()
	if err := <-started; err != nil {
		return nil, usererror.Wrap(err, codeSourceStart, "the source plugin could not be started", "check that the binary can be run")
	}
	if err := c.waitUntilListening(ctx, socket); err != nil {
		c.stop()
		return nil, err
	}
	conn, err := grpc.NewClient("passthrough:///source",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("connecting to the source plugin: %w", err)
	}
	c.conn = conn
	return c, nil
}

// waitUntilListening tries the socket itself: gRPC would sleep a second after its first try, which always is too early.
func (c *child) waitUntilListening(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("timed out"))
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", socket); err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-c.exited:
			return usererror.Wrap(c.exitError(), codeSourceStart, "the source plugin ended before it listened"+c.log.tail(),
				"see its last lines above")
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("starting the source plugin: %w", ctx.Err())
			}
			return usererror.New(codeSourceStart, fmt.Sprintf("the source plugin did not listen within %s%s", startTimeout, c.log.tail()),
				"run it with `serve` to see what it waits for")
		}
	}
}

func (c *child) exitError() error {
	if c.exitErr == nil {
		return errors.New("exit status 0")
	}
	return c.exitErr
}

// gone reports whether the child ended by itself, and gives it a moment, since its connection breaks first.
func (c *child) gone() bool {
	select {
	case <-c.exited:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// stop ends the child and returns when it is gone. It may be called twice.
func (c *child) stop() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	select {
	case <-c.exited:
		return
	default:
	}
	interrupt(c.cmd.Process)
	select {
	case <-c.exited:
	case <-time.After(stopGrace):
		kill(c.cmd.Process)
		<-c.exited
	}
}

// makeSocketDir makes a directory that only this user can enter. A unix socket's path must stay under about 100 bytes,
// which a long TMPDIR would exceed.
func makeSocketDir() (string, error) {
	const longest = 80
	parent := os.TempDir()
	if len(parent) > longest && runtime.GOOS != "windows" {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "cq-servicenow-") // mode 0700
	if err != nil {
		return "", fmt.Errorf("making the socket directory: %w", err)
	}
	return dir, nil
}
