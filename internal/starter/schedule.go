package starter

import (
	"fmt"
	"hash/fnv"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Kinds of schedules.
const (
	NoSchedule    = "none"
	GitHubActions = "github-actions"
	Kubernetes    = "kubernetes"
	Cron          = "cron"
	Airflow       = "airflow"
)

// Schedules returns what can run a config on a schedule.
func Schedules() []Choice {
	return []Choice{
		{NoSchedule, "write the config alone"},
		{GitHubActions, "a workflow"},
		{Kubernetes, "a CronJob"},
		{Cron, "a line for crontab"},
		{Airflow, "a DAG"},
	}
}

// Unfit says why a schedule cannot fill a destination; empty when it can.
func (c *Config) Unfit() string {
	if (c.Schedule == GitHubActions || c.Schedule == Kubernetes) && c.destination().local {
		return c.Schedule + " gives every run a fresh machine, and the file of the destination " + c.Destination + " would be lost with it"
	}
	return ""
}

// Every is how often a sync runs: its minutes, or 0 for once a day.
type Every int

// minutesApart divide an hour, so that cron's steps are even.
const minutesApart = "5, 6, 10, 12, 15, 20 or 30"

// ParseEvery reads daily, hourly or a number of minutes such as 15m.
func ParseEvery(text string) (Every, error) {
	switch text {
	case "daily":
		return 0, nil
	case "hourly":
		return 60, nil
	}
	digits, ok := strings.CutSuffix(text, "m")
	minutes, err := strconv.Atoi(digits)
	if !ok || err != nil || minutes < 5 || minutes > 60 || 60%minutes != 0 {
		return 0, fmt.Errorf("write daily, hourly, or minutes that divide an hour, such as 15m: %s", minutesApart)
	}
	return Every(minutes), nil
}

// Text says it to people.
func (e Every) Text() string {
	switch e {
	case 0:
		return "every night"
	case 60:
		return "every hour"
	}
	return fmt.Sprintf("every %d minutes", int(e))
}

// Cron returns the five fields of cron. The minute comes from the instance's name, so that the syncs of many instances
// do not all begin at once; once a day is between 01:00 and 05:00.
func (e Every) Cron(instance string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(strings.ToLower(instance)))
	sum := int(hash.Sum32() % 240)
	switch {
	case e == 0:
		return fmt.Sprintf("%d %d * * *", sum%60, 1+sum/60)
	case e == 60:
		return fmt.Sprintf("%d * * * *", sum%60)
	}
	return fmt.Sprintf("%d-59/%d * * * *", sum%int(e), int(e))
}

// Plan is a schedule to be written.
type Plan struct {
	Every Every
	// Config is the path of the config as the schedule's machine finds it: below the repository for GitHub Actions, and
	// absolute for cron and Airflow.
	Config string
	// File is the path of the schedule itself.
	File string
	// Program is the path of cq-source-servicenow, for the embedded destination.
	Program string
}

// ScheduleFile returns the usual path of a schedule, for a config in dir.
func (c *Config) ScheduleFile(dir string) string {
	switch c.Schedule {
	case GitHubActions: // where GitHub looks for it: below the root of the repository
		return filepath.Join(".github", "workflows", "servicenow-sync.yml")
	case Kubernetes:
		return filepath.Join(dir, "servicenow-cronjob.yaml")
	case Cron:
		return filepath.Join(dir, "servicenow.cron")
	}
	return filepath.Join(dir, "servicenow_dag.py")
}

// ScheduleText returns the schedule.
func (c *Config) ScheduleText(p Plan) ([]byte, error) {
	command := "cloudquery sync " + shell(filepath.Base(p.Config)) + " --log-console"
	needs := "the CloudQuery CLI"
	if c.Embedded() {
		command = shell(p.Program) + " sync " + shell(filepath.Base(p.Config)) + " --no-progress"
		needs = "cq-source-servicenow at the path below"
	} else if c.registry() == "local" {
		needs += ", cq-source-servicenow beside the config"
	}
	directory := filepath.Dir(p.Config)
	variables := c.Variables()
	data := struct {
		Plan
		Cron, EveryText, CLIVersion            string
		Registry, Path, BuildTo                string
		Variables, Plain, Files, Optional      []Variable
		Widest                                 int
		Command, CronCommand, Directory, Needs string
	}{
		Plan: p, Cron: p.Every.Cron(c.Instance()), EveryText: p.Every.Text(), CLIVersion: cliVersion, Registry: c.registry(), Path: c.path(),
		Variables: variables, Widest: widest(variables), Command: command, Directory: directory, Needs: needs,
		// cron's own PATH is short.
		CronCommand: "cd " + shell(directory) + ` && PATH="$PATH:/usr/local/bin" && set -a && . ./servicenow.env && set +a && flock -n servicenow.lock ` +
			command + " >>servicenow-sync.log 2>&1",
	}
	if data.BuildTo = shell(data.Path); !path.IsAbs(data.Path) {
		data.BuildTo = `"$GITHUB_WORKSPACE"/` + shell(path.Clean(data.Path))
	}
	for _, v := range variables {
		if v.Optional {
			data.Optional = append(data.Optional, v)
		}
		if v.File != "" {
			data.Files = append(data.Files, v)
		} else {
			data.Plain = append(data.Plain, v)
		}
	}
	names := map[string]string{GitHubActions: "github-actions.yml.tmpl", Kubernetes: "kubernetes.yaml.tmpl", Cron: "crontab.tmpl", Airflow: "airflow.py.tmpl"}
	return render(names[c.Schedule], data)
}

// cronLine joins a time and a command; cron would end the command at a bare percent sign.
func cronLine(when, command string) string {
	return when + " " + strings.ReplaceAll(command, "%", `\%`)
}

// Named returns the choice with a name, or with a number counted from 1.
func Named(all []Choice, answer string) (string, bool) {
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(all) {
		return all[n-1].Name, true
	}
	return answer, slices.ContainsFunc(all, func(c Choice) bool { return c.Name == answer })
}
