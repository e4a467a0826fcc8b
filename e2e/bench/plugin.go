package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	pbdiscovery "github.com/cloudquery/plugin-pb-go/pb/discovery/v1"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/schema"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// stateTable is where the plugin keeps its cursors.
const stateTable = "bench_state"

// maxMessage is the SDK's own limit.
const maxMessage = 200 << 20

// drain is a destination that drops what it receives, and keeps the plugin's cursors as they came. Like any destination it
// decodes each message into a record batch, and looks at none of its values.
type drain struct {
	pb.UnimplementedPluginServer
	pbdiscovery.UnimplementedDiscoveryServer

	mu      sync.Mutex
	cursors [][]byte
}

// Read gives the cursors back.
func (d *drain) Read(_ *pb.Read_Request, stream pb.Plugin_ReadServer) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.cursors {
		if err := stream.Send(&pb.Read_Response{Record: c}); err != nil {
			return err
		}
	}
	return nil
}

func (d *drain) take(m *pb.Sync_Response) (rows int64, err error) {
	switch m := m.GetMessage().(type) {
	case *pb.Sync_Response_Error:
		return 0, fmt.Errorf("syncing %s: %s", m.Error.TableName, m.Error.Error)
	case *pb.Sync_Response_Insert:
		batch, err := pb.NewRecordFromBytes(m.Insert.Record)
		if err != nil {
			return 0, fmt.Errorf("decoding rows: %w", err)
		}
		defer batch.Release()
		if name, _ := batch.Schema().Metadata().GetValue(schema.MetadataTableName); name == stateTable {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.cursors = append(d.cursors, m.Insert.Record)
			return 0, nil
		}
		return batch.NumRows(), nil
	default:
		return 0, nil
	}
}

// serve offers the cursors on a socket and returns its address.
func (d *drain) serve(socket string) (address string, stop func(), err error) {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return "", nil, fmt.Errorf("offering the cursors: %w", err)
	}
	server := grpc.NewServer()
	pb.RegisterPluginServer(server, d)
	pbdiscovery.RegisterDiscoveryServer(server, d)
	go func() { _ = server.Serve(listener) }() // ends with stop
	return "unix://" + socket, server.Stop, nil
}

// job is a sync to run.
type job struct {
	command []string
	spec    map[string]any
	tables  []string
	into    *drain
	cursors bool // keep them
	log     io.Writer
}

// outcome is what a sync took; the process's figures are zero where the system does not tell them.
type outcome struct {
	rows int64
	wall time.Duration // of the sync alone: neither the start of the process nor its end
	cpu  time.Duration // of the plugin's process meanwhile
	peak int64         // of its resident memory, in bytes
}

// sync starts the plugin, runs one sync over gRPC, and ends it.
func (j job) sync(ctx context.Context) (o outcome, err error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	socket := filepath.Join(dir, "plugin")
	cmd := exec.CommandContext(ctx, j.command[0], append(j.command[1:], "serve", "--network", "unix", "--address", socket, "--log-level", "warn")...) //nolint:gosec // built by this program
	cmd.Stdout, cmd.Stderr = j.log, j.log
	if err := cmd.Start(); err != nil {
		return o, fmt.Errorf("starting the plugin: %w", err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	defer func() { cancel(); <-exited }()
	if err := dial(ctx, socket, exited); err != nil {
		return o, err
	}
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return o, fmt.Errorf("connecting to the plugin: %w", err)
	}
	defer conn.Close()
	plugin := pb.NewPluginClient(conn)
	spec, err := json.Marshal(j.spec)
	if err != nil {
		return o, err
	}
	if _, err := plugin.Init(ctx, &pb.Init_Request{Spec: spec}); err != nil {
		return o, fmt.Errorf("initialising the plugin: %w", err)
	}
	req := &pb.Sync_Request{Tables: j.tables, WithErrorMessages: true}
	if j.cursors {
		address, stop, err := j.into.serve(filepath.Join(dir, "cursors"))
		if err != nil {
			return o, err
		}
		defer stop()
		req.Backend = &pb.Sync_BackendOptions{TableName: stateTable, Connection: address}
	}
	before := processCPU(cmd.Process.Pid)
	began := time.Now()
	stream, err := plugin.Sync(ctx, req)
	if err != nil {
		return o, fmt.Errorf("syncing: %w", err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return o, fmt.Errorf("syncing: %w", err)
		}
		rows, err := j.into.take(m)
		if err != nil {
			return o, err
		}
		o.rows += rows
	}
	o.wall = time.Since(began)
	o.cpu = processCPU(cmd.Process.Pid) - before
	o.peak = processPeak(cmd.Process.Pid)
	return o, nil
}

// dial waits until the plugin listens. gRPC would wait for a second after its first try.
func dial(ctx context.Context, socket string, exited <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", socket); err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-exited:
			return errors.New("starting the plugin: it ended before it listened")
		case <-ctx.Done():
			return fmt.Errorf("starting the plugin: %w", ctx.Err())
		}
	}
}
