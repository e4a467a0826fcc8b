package localsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/apache/arrow-go/v18/arrow"
	pbdiscovery "github.com/cloudquery/plugin-pb-go/pb/discovery/v1"
	pb "github.com/cloudquery/plugin-pb-go/pb/plugin/v3"
	"github.com/cloudquery/plugin-sdk/v4/message"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cqservicenow/cq-source-servicenow/internal/localsync/sqlitedest"
)

// maxMessage is the SDK's own limit in both directions.
const maxMessage = 200 << 20

// server offers the destination over gRPC, for the source's state client. It is not the SDK's serve.Plugin: that one
// takes over signals, stdout and Arrow's type registry, and runs once per process.
type server struct {
	pb.UnimplementedPluginServer
	pbdiscovery.UnimplementedDiscoveryServer

	dest *sqlitedest.Client
	grpc *grpc.Server
	done chan struct{}
}

func serveDestination(listener net.Listener, dest *sqlitedest.Client) *server {
	s := &server{
		dest: dest,
		grpc: grpc.NewServer(grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage), grpc.WaitForHandlers(true)),
		done: make(chan struct{}),
	}
	pb.RegisterPluginServer(s.grpc, s)
	pbdiscovery.RegisterDiscoveryServer(s.grpc, s)
	go func() {
		defer close(s.done)
		_ = s.grpc.Serve(listener) // ends with Stop, which closes the listener
	}()
	return s
}

// stop ends all calls and waits for them.
func (s *server) stop() {
	s.grpc.Stop()
	<-s.done
}

func (*server) GetVersions(context.Context, *pbdiscovery.GetVersions_Request) (*pbdiscovery.GetVersions_Response, error) {
	return &pbdiscovery.GetVersions_Response{Versions: []int32{3}}, nil
}

func (*server) GetName(context.Context, *pb.GetName_Request) (*pb.GetName_Response, error) {
	return &pb.GetName_Response{Name: "sqlite-embedded"}, nil // not CloudQuery's, which behaves in another way
}

func (*server) GetVersion(context.Context, *pb.GetVersion_Request) (*pb.GetVersion_Response, error) {
	return &pb.GetVersion_Response{Version: embeddedRegistry}, nil
}

func (*server) Init(context.Context, *pb.Init_Request) (*pb.Init_Response, error) {
	return &pb.Init_Response{}, nil
}

func (*server) Close(context.Context, *pb.Close_Request) (*pb.Close_Response, error) {
	return &pb.Close_Response{}, nil
}

func (s *server) Read(req *pb.Read_Request, stream pb.Plugin_ReadServer) error {
	table, err := decodeTable(req.Table)
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "decoding the table: %v", err)
	}
	batches := make(chan arrow.RecordBatch)
	eg, ctx := errgroup.WithContext(stream.Context())
	eg.Go(func() error {
		defer close(batches)
		return s.dest.Read(ctx, table, batches)
	})
	eg.Go(func() error {
		for batch := range batches {
			b, err := pb.RecordToBytes(batch)
			if err != nil {
				return fmt.Errorf("encoding rows: %w", err)
			}
			if err := stream.Send(&pb.Read_Response{Record: b}); err != nil {
				return err
			}
		}
		return nil
	})
	return eg.Wait()
}

func (s *server) Write(stream pb.Plugin_WriteServer) error {
	messages := make(chan message.WriteMessage)
	eg, ctx := errgroup.WithContext(stream.Context())
	eg.Go(func() error { return s.dest.Write(ctx, messages) })
	eg.Go(func() error {
		defer close(messages)
		for {
			req, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			m, err := decodeWrite(req)
			if err != nil {
				return err
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	// Recv may wait for a client that waits for us: when the write fails, its error ends the call at once.
	failed := make(chan error, 1)
	go func() { failed <- eg.Wait() }()
	select {
	case err := <-failed:
		return s.finish(stream, err)
	case <-ctx.Done():
		return s.finish(stream, context.Cause(ctx))
	}
}

func (*server) finish(stream pb.Plugin_WriteServer, err error) error {
	if err != nil && !errors.Is(err, context.Canceled) {
		return status.Errorf(codes.Internal, "writing: %v", err)
	}
	if err := stream.Context().Err(); err != nil {
		return err
	}
	return stream.SendAndClose(&pb.Write_Response{})
}

func decodeWrite(req *pb.Write_Request) (message.WriteMessage, error) {
	switch m := req.Message.(type) {
	case *pb.Write_Request_MigrateTable:
		table, err := decodeTable(m.MigrateTable.Table)
		if err != nil {
			return nil, fmt.Errorf("decoding a table: %w", err)
		}
		return &message.WriteMigrateTable{Table: table, MigrateForce: m.MigrateTable.MigrateForce}, nil
	case *pb.Write_Request_Insert:
		batch, err := decodeBatch(m.Insert.Record)
		if err != nil {
			return nil, fmt.Errorf("decoding rows: %w", err)
		}
		if batch == nil {
			return nil, errors.New("decoding rows: the message has none")
		}
		return &message.WriteInsert{Record: batch}, nil
	case *pb.Write_Request_Delete:
		return &message.WriteDeleteStale{
			TableName:  m.Delete.TableName,
			SourceName: m.Delete.SourceName,
			SyncTime:   m.Delete.SyncTime.AsTime(),
		}, nil
	case *pb.Write_Request_DeleteRecord:
		d, err := decodeDelete(m.DeleteRecord.TableName, m.DeleteRecord.TableRelations, m.DeleteRecord.WhereClause)
		if err != nil {
			return nil, err
		}
		return &message.WriteDeleteRecord{DeleteRecord: d}, nil
	default:
		return nil, fmt.Errorf("unknown message %T", req.Message)
	}
}
