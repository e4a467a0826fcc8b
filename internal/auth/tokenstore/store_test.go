package tokenstore

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/zalando/go-keyring"

	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
)

const childVariable = "TOKENSTORE_TEST_CHILD"

// TestMain is also the other processes of the tests: "save COUNT NAME" saves that many sign-ins, "forever" never stops,
// "rotate COUNT NAME" replaces one sign-in's token.
func TestMain(m *testing.M) {
	if job := os.Getenv(childVariable); job != "" {
		if err := child(strings.Fields(job)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func child(job []string) error {
	ctx := context.Background()
	store, err := Open(job[1])
	if err != nil {
		return err
	}
	switch job[0] {
	case "save":
		count, _ := strconv.Atoi(job[2])
		for i := range count {
			if err := store.Save(ctx, NewKey("https://i.example", fmt.Sprint(job[3], "-", i)), entry("canary-"+job[3])); err != nil {
				return err
			}
		}
	case "rotate":
		count, _ := strconv.Atoi(job[2])
		session, err := Resume(ctx, store, key)
		if err != nil {
			return err
		}
		for i := range count {
			if err := session.OnRefreshToken(ctx, fmt.Sprint("canary-", job[3], "-", i)); err != nil {
				return err
			}
		}
	case "forever":
		for i := 0; ; i++ {
			if err := store.Save(ctx, key, entry(fmt.Sprint("canary-", i))); err != nil {
				return err
			}
		}
	}
	return nil
}

func startChild(t *testing.T, job ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join(job, " "))
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	return cmd
}

var (
	key  = Key{Instance: "https://example.service-now.com", ClientID: "the-client"}
	then = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
)

func entry(token string) Entry {
	return Entry{RefreshToken: token, SignedInAt: then, ObtainedAt: then, User: "ann"}
}

func open(t *testing.T) *fileStore {
	store, err := Open(filepath.Join(t.TempDir(), "sub", "tokens.json"))
	require.NoError(t, err)
	return store.(*fileStore)
}

// each runs a test on every kind of store.
func each(t *testing.T, test func(t *testing.T, store Store)) {
	t.Run("file", func(t *testing.T) { test(t, open(t)) })
	t.Run("keyring", func(t *testing.T) {
		keyring.MockInit()
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		store, err := Open(Keyring)
		require.NoError(t, err)
		test(t, store)
	})
}

func TestSaveLoadDelete(t *testing.T) {
	each(t, func(t *testing.T, store Store) {
		ctx := t.Context()
		_, err := store.Load(ctx, key)
		require.Equal(t, CodeNoSignIn, usererror.CodeOf(err))
		require.ErrorContains(t, err, "login --instance-url https://example.service-now.com --client-id the-client")
		require.NoError(t, store.Delete(ctx, key))

		other := NewKey("https://other.example", "the-client")
		want := entry("canary-1")
		want.Lifespan = 50 * 24 * time.Hour
		require.NoError(t, store.Save(ctx, key, want))
		require.NoError(t, store.Save(ctx, other, entry("canary-2")))
		got, err := store.Load(ctx, key)
		require.NoError(t, err)
		requireSame(t, want, got)

		require.NoError(t, store.Save(ctx, key, entry("canary-3")))
		got, err = store.Load(ctx, key)
		require.NoError(t, err)
		requireSame(t, entry("canary-3"), got)

		require.NoError(t, store.Delete(ctx, key))
		_, err = store.Load(ctx, key)
		require.Equal(t, CodeNoSignIn, usererror.CodeOf(err))
		_, err = store.Load(ctx, other)
		require.NoError(t, err)
		require.Error(t, store.Save(ctx, key, Entry{}))

		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		_, err = store.Load(cancelled, other)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// requireSame compares the fields: testify would print an Entry without its token.
func requireSame(t *testing.T, want, got Entry) {
	t.Helper()
	require.Equal(t, want.RefreshToken, got.RefreshToken)
	require.Equal(t, want.String(), got.String())
	require.Equal(t, want.Lifespan, got.Lifespan)
}

func TestDefaultPlace(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	store, err := Open("")
	require.NoError(t, err)
	folder := filepath.Join(home, "cq-source-servicenow")
	require.Equal(t, filepath.Join(folder, "tokens.json"), store.String())
	require.NoError(t, store.Delete(t.Context(), key))
	require.NoDirExists(t, folder)
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	requireMode(t, folder, 0o700)
	requireMode(t, store.String(), 0o600)
	require.NoError(t, os.Chmod(folder, 0o755))
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	requireMode(t, folder, 0o700)

	t.Setenv("HOME", home)
	store, err = Open("~/x/tokens.json")
	require.NoError(t, err)
	require.Equal(t, filepath.Join(home, "x", "tokens.json"), store.String())
	require.Equal(t, "~/x/tokens.json", store.Setting())

	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "")
	for _, setting := range []string{"", Keyring, "~/x"} {
		_, err = Open(setting)
		require.Equal(t, CodeNoHome, usererror.CodeOf(err))
	}
}

func requireMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, want.String(), info.Mode().Perm().String())
}

func TestFileForm(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("t<&>")))
	data, err := os.ReadFile(store.path)
	require.NoError(t, err)
	require.Equal(t, `{
  "version": 1,
  "tokens": [
    {
      "instance": "https://example.service-now.com",
      "client_id": "the-client",
      "user": "ann",
      "refresh_token": "t\u003c\u0026\u003e",
      "signed_in_at": "2026-03-04T05:06:07Z",
      "obtained_at": "2026-03-04T05:06:07Z",
      "expires_at": "2026-06-12T05:06:07Z"
    }
  ]
}
`, string(data))
}

func TestEntriesOfOthersAreKeptAsTheyAre(t *testing.T) {
	store := open(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(store.path), 0o700))
	other := `{"instance":"https://x","client_id":"y","refresh_token":"z","signed_in_at":"2026-01-01T00:00:00Z","obtained_at":"2026-01-01T00:00:00Z","colour":{"a":[1.50]}}`
	require.NoError(t, os.WriteFile(store.path, []byte(`{"version":1,"tokens":[`+other+`]}`), 0o600))
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	require.NoError(t, store.Delete(t.Context(), key))
	data, err := os.ReadFile(store.path)
	require.NoError(t, err)
	var doc document
	require.NoError(t, json.Unmarshal(data, &doc))
	require.Len(t, doc.Tokens, 1)
	require.JSONEq(t, other, string(doc.Tokens[0]))
	require.Contains(t, string(data), "1.50")
}

func TestReadableByOthers(t *testing.T) {
	for _, mode := range []os.FileMode{0o644, 0o640, 0o602, 0o601} {
		store := open(t)
		require.NoError(t, store.Save(t.Context(), key, entry("canary")))
		require.NoError(t, os.Chmod(store.path, mode))
		_, err := store.Load(t.Context(), key)
		require.Equal(t, CodeReadableByOthers, usererror.CodeOf(err))
		require.ErrorContains(t, err, "chmod 600 "+store.path)
		for _, err := range []error{store.Save(t.Context(), key, entry("canary")), store.Delete(t.Context(), key)} {
			require.Equal(t, CodeReadableByOthers, usererror.CodeOf(err))
		}
		require.NoError(t, os.Chmod(store.path, 0o400))
		_, err = store.Load(t.Context(), key)
		require.NoError(t, err, "only reading is fine")
	}
}

func TestDamagedFile(t *testing.T) {
	entryWith := func(more string) string {
		return `{"version":1,"tokens":[{"instance":"` + key.Instance + `","client_id":"` + key.ClientID + `"` + more + `}]}`
	}
	for name, test := range map[string]struct{ content, code string }{
		"not JSON":        {`canary`, CodeUnreadable},
		"cut":             {`{"version":1,"tokens":[{"instance":"canary`, CodeUnreadable},
		"a list":          {`["canary"]`, CodeUnreadable},
		"null":            {`null`, CodeUnreadable},
		"no version":      {`{"tokens":[]}`, CodeUnreadable},
		"version a text":  {`{"version":"canary"}`, CodeUnreadable},
		"version 0":       {`{"version":0}`, CodeUnknownVersion},
		"version 2":       {`{"version":2,"tokens":"canary"}`, CodeUnknownVersion},
		"tokens a text":   {`{"version":1,"tokens":"canary"}`, CodeUnreadable},
		"token a text":    {`{"version":1,"tokens":["canary"]}`, CodeUnreadable},
		"token a number":  {entryWith(`,"refresh_token":12345`), CodeUnreadable},
		"no times":        {entryWith(`,"refresh_token":"canary"`), CodeUnreadable},
		"a time of words": {entryWith(`,"refresh_token":"canary","signed_in_at":"canary"`), CodeUnreadable},
		"twice":           {strings.Replace(entryWith(``), "[", "["+strings.TrimSuffix(strings.Split(entryWith(``), "[")[1], "]}")+",", 1), CodeUnreadable},
		"zeros":           {strings.Repeat("\x00", 300), CodeUnreadable},
		"huge":            {strings.Repeat(" ", mostFile+1), CodeUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			store := open(t)
			require.NoError(t, os.MkdirAll(filepath.Dir(store.path), 0o700))
			require.NoError(t, os.WriteFile(store.path, []byte(test.content), 0o600))
			_, err := store.Load(t.Context(), key)
			require.Equal(t, test.code, usererror.CodeOf(err))
			text := fmt.Sprintf("%v %+v %#v", err, err, err)
			if name != "no times" { // which a new sign-in mends
				err = store.Save(t.Context(), key, entry("canary-new"))
				require.Equal(t, test.code, usererror.CodeOf(err))
				data, readErr := os.ReadFile(store.path)
				require.NoError(t, readErr)
				require.Equal(t, test.content, string(data), "what cannot be read is not overwritten")
			} else {
				require.NoError(t, store.Save(t.Context(), key, entry("canary-new")))
				got, err := store.Load(t.Context(), key)
				require.NoError(t, err)
				require.Equal(t, "canary-new", got.RefreshToken)
			}
			text += fmt.Sprintf("%v %+v %#v", err, err, err)
			require.NotContains(t, strings.ReplaceAll(text, t.TempDir(), ""), "canary")
			require.NotContains(t, text, "12345")
		})
	}
	t.Run("empty", func(t *testing.T) { // as a crash of the file system may leave it
		store := open(t)
		require.NoError(t, os.MkdirAll(filepath.Dir(store.path), 0o700))
		require.NoError(t, os.WriteFile(store.path, nil, 0o600))
		_, err := store.Load(t.Context(), key)
		require.Equal(t, CodeNoSignIn, usererror.CodeOf(err))
		require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	})
	t.Run("a folder", func(t *testing.T) {
		store := open(t)
		require.NoError(t, os.MkdirAll(store.path, 0o700))
		_, err := store.Load(t.Context(), key)
		require.Equal(t, CodeFile, usererror.CodeOf(err))
	})
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	store, err := Open(filepath.Join(file, "tokens.json"))
	require.NoError(t, err)
	err = store.Save(t.Context(), key, entry("canary-token"))
	require.Equal(t, CodeFile, usererror.CodeOf(err))
	require.NotContains(t, err.Error(), "canary-token")
}

func TestLinkStaysALink(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary-1")))
	link := filepath.Join(t.TempDir(), "link.json")
	require.NoError(t, os.Symlink(store.path, link))
	linked, err := Open(link)
	require.NoError(t, err)
	require.NoError(t, linked.Save(t.Context(), key, entry("canary-2")))
	got, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, "canary-2", got.RefreshToken)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type())
}

func TestManyProcessesAndGoroutinesSave(t *testing.T) {
	const processes, saves = 6, 15
	store := open(t)
	var children []*exec.Cmd
	for p := range processes {
		children = append(children, startChild(t, "save", store.path, strconv.Itoa(saves), fmt.Sprint("p", p)))
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range saves {
				if err := store.Save(t.Context(), NewKey("https://i.example", fmt.Sprint("g", g, "-", i)), entry("canary")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, child := range children {
		require.NoError(t, child.Wait())
	}
	doc, err := store.read()
	require.NoError(t, err)
	require.Len(t, doc.Tokens, (processes+4)*saves)
	require.NoFileExists(t, store.path+".new")
	requireMode(t, store.path+".lock", 0o600)
}

func TestTwoSyncsRotateAtOnce(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary-0")))
	a, b := startChild(t, "rotate", store.path, "20", "a"), startChild(t, "rotate", store.path, "20", "b")
	require.NoError(t, a.Wait())
	require.NoError(t, b.Wait())
	got, err := store.Load(t.Context(), key)
	require.NoError(t, err)
	require.Regexp(t, "^canary-[ab]-19$", got.RefreshToken, "the last one given")
	require.Equal(t, then, got.SignedInAt)
}

func TestKilledWhileSaving(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary-first")))
	for i := range 12 {
		cmd := startChild(t, "forever", store.path)
		// Readers meanwhile see the old file or the new one.
		for until := time.Now().Add(time.Duration(20+7*i) * time.Millisecond); time.Now().Before(until); {
			_, err := store.Load(t.Context(), key)
			require.NoError(t, err)
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		_, err := store.Load(t.Context(), key)
		require.NoError(t, err)
		require.NoError(t, store.Save(t.Context(), key, entry("canary")), "neither the lock nor a temporary file stays in the way")
	}
}

func TestLockIsWaitedForAndGivenUp(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	holder := flock.New(store.path + ".lock")
	require.NoError(t, holder.Lock())
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, store.Save(ctx, key, entry("canary")), context.DeadlineExceeded)
	_, err := store.Load(t.Context(), key)
	require.NoError(t, err, "reading takes no lock")
	time.AfterFunc(60*time.Millisecond, func() { _ = holder.Unlock() })
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
}

func TestSession(t *testing.T) {
	each(t, func(t *testing.T, store Store) {
		ctx := t.Context()
		_, err := Resume(ctx, store, key)
		require.Equal(t, CodeNoSignIn, usererror.CodeOf(err))
		require.NoError(t, store.Save(ctx, key, entry("canary-1")))
		session, err := Resume(ctx, store, key)
		require.NoError(t, err)
		require.Equal(t, "canary-1", session.RefreshToken())
		require.Equal(t, "ann", session.User())
		again, err := ResumeFrom(ctx, map[bool]string{true: store.Setting(), false: store.String()}[store.Setting() == Keyring], key.Instance+"/", key.ClientID)
		require.NoError(t, err)
		require.Equal(t, "canary-1", again.RefreshToken())

		later := then.Add(30 * 24 * time.Hour)
		session.now = func() time.Time { return later }
		require.NoError(t, session.OnRefreshToken(ctx, "canary-2"))
		require.Equal(t, "canary-2", session.RefreshToken())
		got, err := store.Load(ctx, key)
		require.NoError(t, err)
		require.Equal(t, "canary-2", got.RefreshToken)
		require.Equal(t, then, got.SignedInAt)
		require.Equal(t, later.Add(DefaultLifespan), got.ExpiresAt())

		// A person signed in again while the sync ran: their token stays.
		fresh := entry("canary-fresh")
		fresh.SignedInAt, fresh.ObtainedAt = later, later
		require.NoError(t, store.Save(ctx, key, fresh))
		require.NoError(t, session.OnRefreshToken(ctx, "canary-3"))
		got, err = store.Load(ctx, key)
		require.NoError(t, err)
		require.Equal(t, "canary-fresh", got.RefreshToken)

		// And a logout is not undone.
		require.NoError(t, store.Delete(ctx, key))
		require.NoError(t, session.OnRefreshToken(ctx, "canary-4"))
		_, err = store.Load(ctx, key)
		require.Equal(t, CodeNoSignIn, usererror.CodeOf(err))
	})
}

func TestSavingARotatedTokenFails(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary-1")))
	session, err := Resume(t.Context(), store, key)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(store.path, 0o644))
	err = session.OnRefreshToken(t.Context(), "canary-2")
	require.Equal(t, CodeReadableByOthers, usererror.CodeOf(err))
	require.NotContains(t, err.Error(), "canary-2")
	require.Equal(t, "canary-1", session.RefreshToken())
	require.NoError(t, os.Chmod(store.path, 0o600))
	require.NoError(t, session.OnRefreshToken(t.Context(), "canary-2"))
}

func TestExpiryWarning(t *testing.T) {
	store := open(t)
	require.NoError(t, store.Save(t.Context(), key, entry("canary")))
	session, err := Resume(t.Context(), store, key)
	require.NoError(t, err)
	ends := then.Add(100 * 24 * time.Hour)
	require.Nil(t, session.ExpiryWarning(then))
	require.Nil(t, session.ExpiryWarning(ends.Add(-14*24*time.Hour-time.Second)))
	for _, now := range []time.Time{ends.Add(-14 * 24 * time.Hour), ends.Add(-time.Second), ends, ends.Add(time.Hour)} {
		due := session.ExpiryWarning(now)
		require.NotNil(t, due)
		require.Equal(t, CodeEnding, due.Code)
		require.Contains(t, due.Message, "12 June 2026, 05:06 UTC")
		require.Equal(t, now.Before(ends), !strings.Contains(due.Message, "probably ended"))
		require.Contains(t, due.NextStep, "cq-source-servicenow login --instance-url https://example.service-now.com --client-id the-client --token-store "+store.path)
	}
}

func TestKey(t *testing.T) {
	for in, want := range map[string]string{
		"https://Example.Service-Now.com":      "https://example.service-now.com",
		"https://example.service-now.com/":     "https://example.service-now.com",
		"HTTPS://example.service-now.com:443/": "https://example.service-now.com",
		"http://127.0.0.1:80":                  "http://127.0.0.1",
		"http://127.0.0.1:8080":                "http://127.0.0.1:8080",
		"https://x.example/a/":                 "https://x.example/a",
		"nonsense":                             "nonsense",
	} {
		require.Equal(t, want, NewKey(in, "c").Instance)
	}
	require.Equal(t, `cq-source-servicenow login --instance-url https://x --client-id 'a b'\''c' --token-store keyring`,
		NewKey("https://x", "a b'c").LoginCommand(Keyring))
}

func TestKeyringFaults(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	store, err := Open(Keyring)
	require.NoError(t, err)
	keyring.MockInitWithError(fmt.Errorf("The name org.freedesktop.secrets was not provided"))
	_, err = store.Load(t.Context(), key)
	require.Equal(t, CodeKeyring, usererror.CodeOf(err))
	require.Equal(t, CodeKeyring, usererror.CodeOf(store.Save(t.Context(), key, entry("canary"))))

	keyring.MockInit()
	for text, code := range map[string]string{
		"canary":        CodeUnreadable,
		`{}`:            CodeUnreadable,
		`{"version":9}`: CodeUnknownVersion,
		`{"version":1}`: CodeUnreadable,
	} {
		require.NoError(t, keyring.Set(keyringService, item(key), text))
		_, err = store.Load(t.Context(), key)
		require.Equal(t, code, usererror.CodeOf(err))
		require.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "canary")
		if code == CodeUnreadable {
			require.NoError(t, store.Save(t.Context(), key, entry("canary")), "a new sign-in mends it")
		}
	}
}

func TestNothingPrintsTokens(t *testing.T) {
	store := open(t)
	e := entry("canary")
	require.NoError(t, store.Save(t.Context(), key, e))
	session, err := Resume(t.Context(), store, key)
	require.NoError(t, err)
	var logged strings.Builder
	logger := zerolog.New(&logged)
	logger.Info().Object("entry", e).Interface("again", e).Any("session", session).Msg("x")
	text, err := json.Marshal(map[string]any{"entry": e, "pointer": &e, "session": session})
	require.NoError(t, err)
	out := logged.String() + string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		out += fmt.Sprintf(verb+verb+verb+verb, e, &e, session, store) + fmt.Sprintf(verb, struct{ E any }{e})
	}
	require.NotContains(t, out, "canary")
	require.NotContains(t, out, fmt.Sprintf("%x", "canary"))
}
