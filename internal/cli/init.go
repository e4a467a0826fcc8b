package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/auth/login"
	"github.com/cqservicenow/cq-source-servicenow/internal/starter"
	"github.com/cqservicenow/cq-source-servicenow/internal/usererror"
	"github.com/cqservicenow/cq-source-servicenow/plugin"
)

// Codes of init.
const (
	codeAnswerMissing = "SN-INIT-001" // no answer, and no terminal to ask at
	codeInitUnwritten = "SN-INIT-002" // a file is there already, or cannot be written
	codeNotExamined   = "SN-INIT-003" // the config was written, but not examined
)

// initOptions are init's flags.
type initOptions struct {
	config       string
	instance     string
	every        string
	answers      starter.Config
	scheduleFile string
	force        bool
	skipDoctor   bool
}

// initialise writes a config, and what runs it.
func (a *app) initialise() *cobra.Command {
	o := initOptions{config: "servicenow.yaml"}
	cmd := &cobra.Command{
		Use:   "init [CONFIG]",
		Short: "Write a config, and a schedule for it, from a few answers",
		Long: "Write a commented CloudQuery config (servicenow.yaml, or CONFIG) from a few answers, examine the instance with it as\n" +
			"doctor does, and write on request what runs it: a GitHub Actions workflow, a Kubernetes CronJob, a line for crontab or\n" +
			"an Airflow DAG. Secrets are never written: the config names environment variables.\n\n" +
			"Each question has a flag, and what a flag answers is not asked. Without a terminal --instance, --grant and\n" +
			"--destination are needed. docs/init.md says more.",
		Args: atMostOneConfig("init"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.config = args[0]
			}
			return a.runInit(cmd.Context(), cmd.InOrStdin(), cmd.Flags().Changed, &o)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.instance, "instance", "", "the part of the address before .service-now.com, or the whole address")
	flags.StringVar(&o.answers.Grant, "grant", "", "how to sign in: "+names(starter.Grants()))
	flags.StringVar(&o.answers.Destination, "destination", "", "where rows go: "+names(starter.Destinations()))
	flags.StringVar(&o.answers.Attachments, "attachments", starter.AttachmentsText, "what to read of attachments: "+names(starter.Attachments()))
	flags.StringVar(&o.answers.Query, "query", "", "an encoded query that narrows the incidents")
	flags.StringVar(&o.answers.Schedule, "schedule", starter.NoSchedule, "what runs the syncs: "+names(starter.Schedules()))
	flags.StringVar(&o.every, "every", "daily", "how often: daily (at night), hourly, or minutes such as 15m")
	flags.StringVar(&o.scheduleFile, "schedule-file", "", "where the schedule is written (default: the usual place of its kind)")
	flags.StringVar(&o.answers.Plugin, "plugin", "", "path of this program for the CloudQuery CLI, in place of the hub's release")
	flags.BoolVar(&o.force, "force", false, "replace files that are there")
	flags.BoolVar(&o.skipDoctor, "skip-doctor", false, "do not examine the instance")
	return cmd
}

func names(choices []starter.Choice) string {
	list := make([]string, len(choices))
	for i, c := range choices {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

func (a *app) runInit(ctx context.Context, stdin io.Reader, given func(flag string) bool, o *initOptions) error {
	o.answers.Version = released(plugin.Version)
	if err := o.vacant(o.config); err != nil { // better found before a person answers questions
		return err
	}
	terminal := login.NewTerminal(stdin, a.stderr)
	var ask asker
	if terminal.Interactive() {
		ask = terminal.Ask
	}
	every, err := o.complete(ctx, a.stderr, ask, given)
	if err != nil {
		return err
	}
	if err := o.write(a.stdout, every); err != nil {
		return err
	}
	o.printNext(a.stdout)
	if o.skipDoctor {
		return nil
	}
	return a.examineWritten(ctx, terminal, o)
}

// released returns a version that the hub has, with its v; "" for a build of somebody's own, or a snapshot.
func released(version string) string {
	if !regexp.MustCompile(`^v?\d+\.\d+\.\d+$`).MatchString(version) {
		return ""
	}
	return "v" + strings.TrimPrefix(version, "v")
}

// asker asks a person one question; nil where there is none.
type asker func(ctx context.Context, prompt string) (string, error)

// question is something to be answered by a flag or a person.
type question struct {
	flag string
	// text is asked above the choices, or what may be written; prompt stands before the answer.
	text, prompt string
	choices      []starter.Choice
	// required is set where there is no answer that fits most people.
	required bool
	value    *string
	check    func(string) error // of an answer that is no choice
}

// complete asks for what no flag has answered, and checks all of it.
func (o *initOptions) complete(ctx context.Context, out io.Writer, ask asker, given func(flag string) bool) (starter.Every, error) {
	answers := &o.answers
	for _, q := range []question{
		{flag: "instance", text: "Which instance? Write the part before .service-now.com, or the whole address.", prompt: "Instance", required: true, value: &o.instance, check: o.takeInstance},
		{flag: "grant", text: "How does the sync sign in?", prompt: "Grant", choices: starter.Grants(), required: true, value: &answers.Grant},
		{flag: "destination", text: "Where do the rows go?", prompt: "Destination", choices: starter.Destinations(), required: true, value: &answers.Destination},
		{flag: "attachments", text: "What of the incidents' attachments?", prompt: "Attachments", choices: starter.Attachments(), value: &answers.Attachments},
		{flag: "query", text: "Which incidents? Write an encoded query, such as active=true, or nothing for all of them.", prompt: "Query", value: &answers.Query, check: checkQuery},
		{flag: "schedule", text: "What runs the syncs?", prompt: "Schedule", choices: starter.Schedules(), value: &answers.Schedule, check: o.checkSchedule},
	} {
		if err := q.answer(ctx, out, ask, given(q.flag)); err != nil {
			return 0, err
		}
	}
	if answers.Schedule == starter.NoSchedule {
		for _, flag := range []string{"every", "schedule-file"} {
			if given(flag) {
				return 0, &usageError{fmt.Errorf("--%s needs --schedule", flag)}
			}
		}
		return 0, nil
	}
	var every starter.Every
	q := question{flag: "every", text: "How often? daily (at night), hourly, or minutes such as 15m.", prompt: "Every", value: &o.every, check: func(text string) (err error) {
		every, err = starter.ParseEvery(text)
		return err
	}}
	return every, q.answer(ctx, out, ask, given(q.flag))
}

// answer takes the flag's value, the person's, or the default.
func (q *question) answer(ctx context.Context, out io.Writer, ask asker, given bool) error {
	if given || ask == nil {
		if !given && q.required {
			return usererror.New(codeAnswerMissing, "--"+q.flag+" is missing, and there is no terminal to ask at", "give --"+q.flag+q.offer())
		}
		if err := q.take(*q.value); err != nil {
			return &usageError{fmt.Errorf("--%s: %w", q.flag, err)}
		}
		return nil
	}
	fmt.Fprintln(out, q.text)
	widest := 0
	for _, c := range q.choices {
		widest = max(widest, len(c.Name))
	}
	for i, c := range q.choices {
		fmt.Fprintf(out, "  %d  %-*s  %s\n", i+1, widest, c.Name, c.About)
	}
	prompt := q.prompt + ": "
	if *q.value != "" {
		prompt = fmt.Sprintf("%s [%s]: ", q.prompt, *q.value)
	}
	for {
		answer, err := ask(ctx, prompt)
		if err != nil {
			return asking(ctx, err)
		}
		if answer == "" {
			answer = *q.value
		}
		err = q.take(answer)
		if err == nil {
			fmt.Fprintln(out)
			return nil
		}
		fmt.Fprintf(out, "%v.\n", err)
	}
}

func (q *question) offer() string {
	if len(q.choices) == 0 {
		return ""
	}
	return ", one of " + names(q.choices)
}

// take checks an answer and keeps it.
func (q *question) take(answer string) error {
	if answer == "" && q.required {
		return errors.New("an answer is needed here")
	}
	if q.choices != nil {
		name, ok := starter.Named(q.choices, answer)
		if !ok {
			return errors.New("choose one of " + names(q.choices))
		}
		answer = name
	}
	if q.check != nil {
		if err := q.check(answer); err != nil {
			return err
		}
	}
	*q.value = answer
	return nil
}

func (o *initOptions) takeInstance(text string) error {
	subdomain, address := starter.Address(text)
	if err := checkSpec(map[string]any{"instance_subdomain": subdomain, "instance_url": address}); err != nil {
		return err
	}
	o.answers.Subdomain, o.answers.Address = subdomain, address
	return nil
}

func checkQuery(query string) error {
	if strings.ContainsAny(query, "\r\n") {
		return errors.New("an encoded query is one line")
	}
	return checkSpec(map[string]any{"instance_subdomain": "example", "incidents": map[string]any{"query": query}})
}

// checkSpec lets the plugin's own spec judge answers, and returns what it says of the first fault.
func checkSpec(keys map[string]any) error {
	keys["auth"] = map[string]any{"grant_type": spec.GrantAPIKey, "api_key": "none"}
	data, err := json.Marshal(keys)
	if err != nil {
		return err
	}
	_, err = spec.Parse(data)
	var invalid *spec.InvalidError
	if errors.As(err, &invalid) {
		return errors.New(invalid.Problems[0].Message)
	}
	return err
}

func (o *initOptions) checkSchedule(kind string) error {
	tried := o.answers
	tried.Schedule = kind
	if why := tried.Unfit(); why != "" {
		return errors.New(why)
	}
	return nil
}

// vacant refuses a path that holds something, unless it may be replaced.
func (o *initOptions) vacant(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return usererror.Wrap(err, codeInitUnwritten, path+" cannot be written", "name another file")
	case !info.Mode().IsRegular():
		return usererror.New(codeInitUnwritten, path+" is no file that can be replaced", "name another file")
	case !o.force:
		return usererror.New(codeInitUnwritten, path+" is there already", "name another file, or replace this one with --force")
	}
	return nil
}

// write writes the config and the schedule: both, or an error before either where that can be told.
func (o *initOptions) write(out io.Writer, every starter.Every) error {
	config, err := o.answers.YAML()
	if err != nil {
		return err
	}
	var schedule []byte
	if o.answers.Schedule != starter.NoSchedule {
		if o.scheduleFile == "" {
			o.scheduleFile = o.answers.ScheduleFile(filepath.Dir(o.config))
		}
		if err := o.vacant(o.scheduleFile); err != nil {
			return err
		}
		plan, err := o.plan(every)
		if err != nil {
			return err
		}
		if schedule, err = o.answers.ScheduleText(plan); err != nil {
			return err
		}
	}
	// The config holds no secret; people who write one into it all the same find it closed to others.
	if err := o.writeFile(o.config, config, 0o600); err != nil {
		return err
	}
	fmt.Fprintf(out, "Wrote %s.\n", o.config)
	if schedule == nil {
		return nil
	}
	if err := o.writeFile(o.scheduleFile, schedule, 0o644); err != nil { // other users run it: Airflow, a cluster's operators
		return err
	}
	fmt.Fprintf(out, "Wrote %s: %s, at %q.\n", o.scheduleFile, every.Text(), every.Cron(o.answers.Instance()))
	return nil
}

// plan says where the schedule finds what it runs.
func (o *initOptions) plan(every starter.Every) (starter.Plan, error) {
	plan := starter.Plan{Every: every, Config: o.config, File: o.scheduleFile}
	absolute, err := filepath.Abs(o.config)
	if err != nil {
		return plan, fmt.Errorf("finding %s: %w", o.config, err)
	}
	switch o.answers.Schedule {
	case starter.GitHubActions:
		here, err := filepath.Abs(".")
		if err != nil {
			return plan, fmt.Errorf("finding the current folder: %w", err)
		}
		inside, err := filepath.Rel(here, absolute)
		if err != nil || !filepath.IsLocal(inside) {
			return plan, usererror.New(codeInitUnwritten, o.config+" lies outside of the current folder, so a workflow of it would not find it",
				"run init in the root of the repository, and name a file below it")
		}
		plan.Config = filepath.ToSlash(inside)
	case starter.Cron, starter.Airflow:
		plan.Config = absolute
	}
	if o.answers.Embedded() {
		if plan.Program, err = os.Executable(); err != nil {
			return plan, fmt.Errorf("finding this program's own file: %w", err)
		}
	}
	return plan, nil
}

// writeFile writes a file in one step; without --force it never replaces one, not even one that came a moment ago.
func (o *initOptions) writeFile(path string, data []byte, mode os.FileMode) error {
	write := func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // folders of the user's repository, as git makes them
			return err
		}
		if o.force {
			if target, err := filepath.EvalSymlinks(path); err == nil {
				path = target
			}
			return replaceFile(path, data, mode)
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = file.Write(data)
		return errors.Join(err, file.Close())
	}
	if err := write(); err != nil {
		return usererror.Wrap(err, codeInitUnwritten, path+" cannot be written", "check the folder's permissions, or name another file")
	}
	return nil
}

// printNext says what is left to do.
func (o *initOptions) printNext(out io.Writer) {
	variables := o.answers.Variables()
	widest := 0
	for _, v := range variables {
		widest = max(widest, len(v.Name))
	}
	fmt.Fprintln(out, "\nIt reads these environment variables:")
	for _, v := range variables {
		fmt.Fprintf(out, "  %-*s  %s\n", widest, v.Name, v.About)
	}
	fmt.Fprintln(out, "\nWhen they are set:")
	if o.answers.Grant == spec.GrantAuthorizationCode {
		fmt.Fprintf(out, "  cq-source-servicenow login %s\n", o.config)
	}
	fmt.Fprintf(out, "  cq-source-servicenow doctor %s\n", o.config)
	if o.answers.Embedded() {
		fmt.Fprintf(out, "  cq-source-servicenow sync %s\n", o.config)
	} else {
		fmt.Fprintf(out, "  cloudquery sync %s\n", o.config)
	}
}

// examineWritten runs the doctor on the new config. What is not in the environment is asked for, and kept for the time of
// the examination only.
func (a *app) examineWritten(ctx context.Context, terminal *login.Terminal, o *initOptions) error {
	const skip = " (not kept; Enter alone skips the examination): "
	for _, v := range o.answers.Variables() {
		if _, set := os.LookupEnv(v.Name); set || !v.Source {
			continue
		}
		if !terminal.Interactive() {
			return usererror.New(codeNotExamined, o.config+" was written, but the instance was not examined: the environment variable "+v.Name+" is not set",
				"set it and run cq-source-servicenow doctor "+o.config+"; --skip-doctor leaves the examination out")
		}
		ask := terminal.Ask
		if v.Secret {
			ask = terminal.AskSecret
		}
		value, err := ask(ctx, "\n"+v.Name+", "+v.About+skip)
		if err != nil {
			return asking(ctx, err)
		}
		if value == "" {
			return nil
		}
		if err := os.Setenv(v.Name, value); err != nil {
			return fmt.Errorf("setting %s: %w", v.Name, err)
		}
	}
	fmt.Fprintln(a.stdout)
	return a.runDoctor(ctx, o.config, doctorOptions{})
}
