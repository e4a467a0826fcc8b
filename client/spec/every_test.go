package spec

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryAndShareReadWhatTheyWrite(t *testing.T) {
	for text, want := range map[string]Every{"24h": {Time: 24 * time.Hour}, "90m": {Time: 90 * time.Minute}, "10 syncs": {Syncs: 10}} {
		e, err := ParseEvery(text)
		require.NoError(t, err)
		require.Equal(t, want, e)
		data, err := json.Marshal(e)
		require.NoError(t, err)
		var again Every
		require.NoError(t, json.Unmarshal(data, &again))
		require.Equal(t, e, again)
	}
	for _, text := range []string{"", "0 syncs", "-1 syncs", "10", "10s", "soon", "NaNh"} {
		_, err := ParseEvery(text)
		require.Error(t, err, text)
	}
	for text, want := range map[string]Share{"10%": 0.1, "0%": 0, "100%": 1, "0.5%": 0.005} {
		s, err := ParseShare(text)
		require.NoError(t, err)
		require.InDelta(t, float64(want), float64(s), 1e-12)
		require.Equal(t, text, s.String())
	}
	for _, text := range []string{"", "%", "10", "101%", "-1%", "NaN%", "ten%"} {
		_, err := ParseShare(text)
		require.Error(t, err, text)
	}
}

func TestDeletesInASpec(t *testing.T) {
	const base = `"instance_subdomain":"x","auth":{"grant_type":"api_key","api_key":"k"}`
	s, err := Parse([]byte(`{` + base + `,"deletes":"sweep"}`))
	require.NoError(t, err)
	require.Equal(t, Every{Time: 24 * time.Hour}, s.SweepEvery)
	require.InDelta(t, 0.1, float64(*s.DeleteGuard), 1e-9)
	require.Equal(t, DeletedRowsAuto, s.DeletedRows)
	s, err = Parse([]byte(`{` + base + `,"deletes":"audit"}`))
	require.NoError(t, err)
	require.Zero(t, s.SweepEvery, "audit alone sweeps only when asked to")
	_, err = Parse([]byte(`{` + base + `,"sweep_every":"24h"}`))
	require.ErrorContains(t, err, "spec.sweep_every")
	_, err = Parse([]byte(`{` + base + `,"deletes":"sweep","sweep_every":"often","delete_guard":"all"}`))
	require.ErrorContains(t, err, "spec.sweep_every")
	require.ErrorContains(t, err, "spec.delete_guard")
}
