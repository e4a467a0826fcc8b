package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/internal/emulator"
)

// emulator serves a ServiceNow stand-in until it is interrupted.
func (a *app) emulator() *cobra.Command {
	var address string
	var cfg emulator.Config
	cmd := &cobra.Command{
		Use:   "emulator",
		Short: "Serve a ServiceNow stand-in on loopback, for tries and tests",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			running, err := startEmulator(address, cfg)
			if err != nil {
				return err
			}
			defer running.stop()
			fmt.Fprintf(a.stdout, "A ServiceNow stand-in with %d incidents listens on %s. Ctrl-C ends it.\nIn a browser, sign in as emulator.user with emulator-password. A config for it:\n\n%s",
				len(running.SysIDs("incident")), running.url, emulatorConfig(running.url, "emulator.db"))
			select {
			case <-cmd.Context().Done():
				return nil
			case err := <-running.failed:
				return err
			}
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&address, "address", "127.0.0.1:8080", "loopback address to listen on")
	flags.IntVar(&cfg.Incidents, "incidents", 1200, "number of incidents")
	flags.IntVar(&cfg.Attachments, "attachments", 60, "number of attachments")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "seed of the generated data")
	flags.DurationVar(&cfg.RequestLatency, "latency", 0, "time that every request takes")
	flags.DurationVar(&cfg.RowLatency, "row-latency", 0, "time that every row takes")
	return cmd
}

// runningEmulator is an emulator behind a listener.
type runningEmulator struct {
	*emulator.Emulator
	url    string
	server *http.Server
	failed chan error
}

// startEmulator listens on a loopback address: the stand-in's secrets are no secrets.
func startEmulator(address string, cfg emulator.Config) (*runningEmulator, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &usageError{fmt.Errorf("reading --address: %w", err)}
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, &usageError{errors.New("the emulator listens on loopback addresses only, such as 127.0.0.1:8080")}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("starting the emulator: %w; --address chooses another address", err)
	}
	e := emulator.New(cfg)
	running := &runningEmulator{
		Emulator: e, url: "http://" + listener.Addr().String(), failed: make(chan error, 1),
		server: &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		if err := running.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			running.failed <- fmt.Errorf("serving the emulator: %w", err)
		}
	}()
	return running, nil
}

func (r *runningEmulator) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if r.server.Shutdown(ctx) != nil {
		_ = r.server.Close()
	}
}

// emulatorConfig is a config that syncs an emulator into an embedded SQLite file.
func emulatorConfig(url, database string) string {
	return fmt.Sprintf(`kind: source
spec:
  name: servicenow
  registry: local
  path: ./cq-source-servicenow
  tables: ["*"]
  destinations: [sqlite]
  backend_options:
    table_name: cq_state_servicenow
    connection: "@@plugins.sqlite.connection"
  spec:
    instance_url: %s
    page_size: 250
    auth:
      grant_type: client_credentials
      client_id: emulator-client
      client_secret: emulator-secret
---
kind: destination
spec:
  name: sqlite
  registry: embedded # for cq-source-servicenow sync; the CloudQuery CLI has other registries
  path: sqlite
  write_mode: overwrite
  spec:
    connection_string: %s
`, url, database)
}
