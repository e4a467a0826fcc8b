package starter_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/cqservicenow/cq-source-servicenow/client/spec"
	"github.com/cqservicenow/cq-source-servicenow/internal/configfile"
	"github.com/cqservicenow/cq-source-servicenow/internal/localsync"
	"github.com/cqservicenow/cq-source-servicenow/internal/starter"
)

// each calls f with every way to answer the questions.
func each(f func(c starter.Config)) {
	for _, grant := range starter.Grants() {
		for _, destination := range starter.Destinations() {
			for _, attachments := range starter.Attachments() {
				for _, schedule := range starter.Schedules() {
					c := starter.Config{Subdomain: "example", Grant: grant.Name, Destination: destination.Name, Attachments: attachments.Name, Schedule: schedule.Name}
					if c.Unfit() == "" {
						f(c)
					}
				}
			}
		}
	}
}

func title(c starter.Config) string {
	return strings.Join([]string{c.Grant, c.Destination, c.Attachments, c.Schedule}, ", ")
}

// setVariables gives every variable of a config a value that YAML would take apart if it were not quoted.
func setVariables(t *testing.T, c starter.Config) {
	t.Helper()
	for _, v := range c.Variables() {
		value := `a: "b" \ #c` + v.Name
		if v.File != "" {
			value = filepath.Join(t.TempDir(), v.File)
			require.NoError(t, os.WriteFile(value, nil, 0o600))
		}
		t.Setenv(v.Name, value)
	}
}

// destinationKeys are the keys that destinations take, as far as these configs use them.
func destinationKeys() map[string][]string {
	return map[string][]string{
		"sqlite": {"connection_string"}, "duckdb": {"connection_string"}, "postgresql": {"connection_string"}, "snowflake": {"connection_string"},
		"bigquery": {"project_id", "dataset_id"}, "s3": {"bucket", "region", "path", "format"}, "file": {"path", "format"},
	}
}

func TestEveryConfigIsUsable(t *testing.T) {
	configs := 0
	each(func(c starter.Config) {
		configs++
		setVariables(t, c)
		text, err := c.YAML()
		require.NoError(t, err)
		require.NotContains(t, string(text), "[[", title(c))
		docs, err := configfile.Parse(text)
		require.NoError(t, err, title(c))
		require.Len(t, docs, 2)
		for _, doc := range docs {
			require.Empty(t, doc.Faults, title(c))
		}
		source, destination := docs[0].Root.At("spec"), docs[1].Root.At("spec")
		block, err := json.Marshal(source.At("spec").Plain())
		require.NoError(t, err)
		parsed, err := spec.Parse(block)
		require.NoError(t, err, title(c))
		require.Equal(t, c.Grant, parsed.Auth.GrantType)
		require.Equal(t, "example", parsed.InstanceSubdomain)

		name := destination.At("name").Plain()
		require.Equal(t, []any{name}, source.At("destinations").Plain())
		readable := !slices.Contains([]string{"s3", "file"}, c.Destination)
		require.Equal(t, readable, source.At("backend_options") != nil, title(c))
		if readable {
			require.Equal(t, fmt.Sprintf("@@plugins.%v.connection", name), source.At("backend_options", "connection").Plain())
		}
		require.Equal(t, destinationKeys()[name.(string)], destination.At("spec").Keys)
		require.Equal(t, slices.Contains(source.At("tables").Plain().([]any), "servicenow_attachments"), c.Attachments != starter.AttachmentsNone)
		if c.Embedded() {
			require.NoError(t, localsync.ValidateConfig(text, "config"))
		}
		used := used(string(text))
		for _, v := range c.Variables() {
			if !v.Optional {
				require.Contains(t, used, v.Name, "a variable that is asked for in vain")
			}
			used = slices.DeleteFunc(used, func(name string) bool { return name == v.Name })
		}
		require.Empty(t, used, "variables that nobody is told of")
	})
	require.Greater(t, configs, 500)
}

// used returns the variables that a config reads.
func used(config string) []string {
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^[^#\n]*'\$\{(\w+)\}'`).FindAllStringSubmatch(config, -1) {
		names = append(names, m[1])
	}
	return names
}

func TestAnswersDoNotLeaveTheirPlace(t *testing.T) {
	query := `short_descriptionLIKEit's "here": # [x]^active=true`
	c := starter.Config{Address: "https://itsm.example.com", Grant: "api_key", Destination: "embedded", Attachments: starter.AttachmentsText, Query: query, Schedule: starter.NoSchedule}
	setVariables(t, c)
	text, err := c.YAML()
	require.NoError(t, err)
	docs, err := configfile.Parse(text)
	require.NoError(t, err)
	require.Equal(t, query, docs[0].Root.At("spec", "spec", "incidents", "query").Plain())
	require.Equal(t, "https://itsm.example.com", docs[0].Root.At("spec", "spec", "instance_url").Plain())
}

func TestReleasedPluginComesFromTheHub(t *testing.T) {
	c := starter.Config{Subdomain: "example", Grant: "api_key", Destination: "postgresql", Attachments: starter.AttachmentsText, Version: "v1.2.3", Schedule: starter.GitHubActions}
	text, err := c.YAML()
	require.NoError(t, err)
	require.Contains(t, string(text), "  registry: cloudquery\n  path: cqservicenow/servicenow\n  version: v1.2.3\n")
	workflow, err := c.ScheduleText(starter.Plan{Config: "a.yaml"})
	require.NoError(t, err)
	require.NotContains(t, string(workflow), "go build")
	for plugin, built := range map[string]string{"./bin/it's": `"$GITHUB_WORKSPACE"/'bin/it'\''s' .`, "/opt/plugin": " /opt/plugin ."} {
		c.Plugin = plugin
		workflow, err = c.ScheduleText(starter.Plan{Config: "a.yaml"})
		require.NoError(t, err)
		require.Contains(t, string(workflow), built)
	}
	c.Plugin = "/opt/it's here"
	text, err = c.YAML()
	require.NoError(t, err)
	require.Contains(t, string(text), "  path: '/opt/it''s here'\n")
}

func TestAddress(t *testing.T) {
	for given, want := range map[string][2]string{
		"Example": {"example", ""}, "example.service-now.com": {"example", ""}, "https://Example.service-now.com/nav_to.do?uri=x": {"example", ""},
		"itsm.example.com": {"", "https://itsm.example.com"}, "http://127.0.0.1:8080/": {"", "http://127.0.0.1:8080"}, "a.b.service-now.com": {"", "https://a.b.service-now.com"},
	} {
		subdomain, address := starter.Address(given)
		require.Equal(t, want, [2]string{subdomain, address}, given)
	}
}

func TestEvery(t *testing.T) {
	times := map[string]bool{}
	for _, instance := range []string{"example", "acme", "contoso", "initech", "umbrella", "globex", "hooli", "stark"} {
		for text, pattern := range map[string]string{"daily": `^([0-9]|[1-5][0-9]) [1-4] \* \* \*$`, "hourly": `^([0-9]|[1-5][0-9]) \* \* \* \*$`, "15m": `^([0-9]|1[0-4])-59/15 \* \* \* \*$`, "60m": `^([0-9]|[1-5][0-9]) \* \* \* \*$`} {
			every, err := starter.ParseEvery(text)
			require.NoError(t, err)
			require.Regexp(t, pattern, every.Cron(instance))
			require.Equal(t, every.Cron(instance), every.Cron(strings.ToUpper(instance)))
		}
		times[starter.Every(0).Cron(instance)] = true
	}
	require.Greater(t, len(times), 5, "instances do not start at once")
	for _, text := range []string{"", "weekly", "7m", "0m", "4m", "120m", "15", "-5m"} {
		_, err := starter.ParseEvery(text)
		require.Error(t, err, text)
	}
}

// schedules calls f with every schedule's text.
func schedules(t *testing.T, kind string, f func(c starter.Config, plan starter.Plan, text string)) {
	t.Helper()
	count := 0
	each(func(c starter.Config) {
		if c.Schedule != kind || c.Attachments != starter.AttachmentsText {
			return
		}
		count++
		plan := starter.Plan{Config: "conf/servicenow.yaml", File: "schedule", Program: "/opt/cq-source-servicenow"}
		text, err := c.ScheduleText(plan)
		require.NoError(t, err)
		require.NotContains(t, text, "[[")
		f(c, plan, string(text))
	})
	require.Greater(t, count, 20)
}

func TestGitHubActions(t *testing.T) {
	type step struct {
		Name, Uses, Run string
		Env, With       map[string]string
		Folder          string `yaml:"working-directory"`
	}
	schedules(t, starter.GitHubActions, func(c starter.Config, _ starter.Plan, text string) {
		var workflow struct {
			On struct {
				Schedule []struct{ Cron string }
				Dispatch any `yaml:"workflow_dispatch"`
			}
			Permissions map[string]string
			Concurrency map[string]any
			Jobs        map[string]struct {
				RunsOn  string `yaml:"runs-on"`
				Minutes int    `yaml:"timeout-minutes"`
				Steps   []step
			}
			Name string
		}
		require.NoError(t, yaml.UnmarshalWithOptions([]byte(text), &workflow, yaml.DisallowUnknownField()), title(c))
		require.Equal(t, starter.Every(0).Cron("example"), workflow.On.Schedule[0].Cron)
		job := workflow.Jobs["sync"]
		require.Equal(t, "ubuntu-latest", job.RunsOn)
		env := map[string]string{}
		for _, s := range job.Steps {
			require.True(t, (s.Uses == "") != (s.Run == ""), "a step uses or runs")
			if s.Uses != "" {
				require.Regexp(t, `^[\w-]+/[\w-]+@[0-9a-f]{40}$`, s.Uses, "actions are pinned")
			}
			require.NotContains(t, s.Run, "${{", "values reach scripts by the environment alone")
			for name, value := range s.Env {
				env[name] = value
			}
		}
		require.Equal(t, "cloudquery sync conf/servicenow.yaml --log-console", job.Steps[len(job.Steps)-1].Run)
		for _, v := range c.Variables() {
			want := "${{ secrets." + v.Name + " }}"
			if v.File != "" {
				want = "${{ runner.temp }}/" + v.File
				require.Contains(t, text, "secrets."+v.Content)
			}
			require.Equal(t, want, env[v.Name], title(c))
		}
	})
}

func TestKubernetes(t *testing.T) {
	schedules(t, starter.Kubernetes, func(c starter.Config, _ starter.Plan, text string) {
		var job struct {
			APIVersion string `yaml:"apiVersion"`
			Kind       string
			Spec       struct {
				Schedule          string
				ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
				JobTemplate       struct {
					Spec struct {
						Template struct {
							Spec struct {
								RestartPolicy string `yaml:"restartPolicy"`
								Containers    []struct {
									Image, WorkingDir string
									Args              []string
									Env               []struct{ Name, Value string }
									EnvFrom           []map[string]map[string]string `yaml:"envFrom"`
									VolumeMounts      []struct {
										Name      string
										MountPath string `yaml:"mountPath"`
									} `yaml:"volumeMounts"`
								}
								Volumes []map[string]any
							}
						}
					}
				} `yaml:"jobTemplate"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &job), title(c))
		require.Equal(t, []string{"batch/v1", "CronJob"}, []string{job.APIVersion, job.Kind})
		require.Equal(t, starter.Every(0).Cron("example"), job.Spec.Schedule)
		require.Equal(t, "Forbid", job.Spec.ConcurrencyPolicy)
		pod := job.Spec.JobTemplate.Spec.Template.Spec
		require.Equal(t, "Never", pod.RestartPolicy)
		require.Len(t, pod.Containers, 1)
		container := pod.Containers[0]
		require.Equal(t, []string{"sync", "/config/servicenow.yaml", "--log-console"}, container.Args)
		require.Equal(t, "servicenow-sync", container.EnvFrom[0]["secretRef"]["name"])
		volumes := map[any]bool{}
		for _, v := range pod.Volumes {
			volumes[v["name"]] = true
		}
		for _, mount := range container.VolumeMounts {
			require.True(t, volumes[mount.Name], "%s has no volume", mount.Name)
		}
		env := map[string]string{}
		for _, e := range container.Env {
			env[e.Name] = e.Value
		}
		for _, v := range c.Variables() {
			if v.File != "" {
				require.Equal(t, "/secrets/"+v.File, env[v.Name])
				require.Contains(t, text, "--from-file="+v.File+"="+v.File)
			} else {
				require.Contains(t, text, "\n#   "+v.Name+" ")
			}
		}
		config, err := c.YAML()
		require.NoError(t, err)
		require.Contains(t, string(config), "path: '/app/cq-source-servicenow'", "the image's own")
	})
}

func TestAirflow(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed, so this is not tried")
	}
	dir := t.TempDir()
	var files []string
	schedules(t, starter.Airflow, func(c starter.Config, _ starter.Plan, text string) {
		path := filepath.Join(dir, strconv.Itoa(len(files))+".py")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		files = append(files, path)
		for _, v := range c.Variables() {
			if v.Optional {
				require.Contains(t, text, "\n    "+v.Name+" ")
			} else {
				require.Contains(t, text, fmt.Sprintf("%q: \"{{ var.value.secret_%s }}\",", v.Name, strings.ToLower(v.Name)))
			}
		}
	})
	out, err := exec.CommandContext(t.Context(), python, append([]string{"-W", "error", "-m", "py_compile"}, files...)...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// The line of crontab is run by a shell, in a folder with an unpleasant name.
func TestCronLineRuns(t *testing.T) {
	for _, program := range []string{"sh", "flock"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed, so this is not tried")
		}
	}
	dir := filepath.Join(t.TempDir(), `it's 100% "here"`)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o700))
	script := "#!/bin/sh\nprintf '%s|' \"$@\" \"$SERVICENOW_API_KEY\"\n"
	for _, program := range []string{"cloudquery", "cq-source-servicenow"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "bin", program), []byte(script), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "servicenow.env"), []byte("SERVICENOW_API_KEY='a $b'\n"), 0o600))
	for destination, want := range map[string]string{"postgresql": "sync|my config.yaml|--log-console|a $b|", "embedded": "sync|my config.yaml|--no-progress|a $b|"} {
		c := starter.Config{Subdomain: "example", Grant: "api_key", Destination: destination, Attachments: starter.AttachmentsText, Schedule: starter.Cron}
		text, err := c.ScheduleText(starter.Plan{Every: 15, Config: filepath.Join(dir, "my config.yaml"), File: "x", Program: filepath.Join(dir, "bin", "cq-source-servicenow")})
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		line, ok := strings.CutPrefix(lines[len(lines)-1], starter.Every(15).Cron("example")+" ")
		require.True(t, ok)
		require.NotRegexp(t, `[^\\]%`, line, "cron ends a command at a bare percent sign")
		cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(line, `\%`, "%"))
		cmd.Env = []string{"PATH=" + filepath.Join(dir, "bin") + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		log, err := os.ReadFile(filepath.Join(dir, "servicenow-sync.log"))
		require.NoError(t, err)
		require.Equal(t, want, string(log))
		require.NoError(t, os.Remove(filepath.Join(dir, "servicenow-sync.log")))
	}
}

func TestFilesOfFreshMachinesAreRefused(t *testing.T) {
	for _, schedule := range []string{starter.GitHubActions, starter.Kubernetes} {
		for destination, unfit := range map[string]bool{"embedded": true, "sqlite": true, "duckdb": true, "file": true, "postgresql": false, "s3": false} {
			c := starter.Config{Destination: destination, Schedule: schedule}
			require.Equal(t, unfit, c.Unfit() != "", destination)
		}
	}
}

var update = flag.Bool("update", false, "rewrite the examples that init writes")

// The examples of destinations and schedules are what init writes.
func TestExamplesAreWhatInitWrites(t *testing.T) {
	for folder, c := range map[string]starter.Config{
		"duckdb": {Destination: "duckdb"}, "bigquery": {Destination: "bigquery"}, "snowflake": {Destination: "snowflake"}, "s3-parquet": {Destination: "s3"},
		"github-actions": {Destination: "postgresql", Schedule: starter.GitHubActions},
		"kubernetes":     {Destination: "postgresql", Schedule: starter.Kubernetes},
		"airflow":        {Destination: "postgresql", Schedule: starter.Airflow},
	} {
		c.Subdomain, c.Grant, c.Attachments, c.Schedule = "example", "client_credentials", starter.AttachmentsText, cmp.Or(c.Schedule, starter.NoSchedule)
		config, err := c.YAML()
		require.NoError(t, err)
		files := map[string][]byte{"servicenow.yml": config}
		plan := starter.Plan{Config: "servicenow.yml"}
		switch c.Schedule {
		case starter.GitHubActions:
			plan.File = "servicenow-sync.yml"
		case starter.Kubernetes:
			plan.File = "cronjob.yaml"
		case starter.Airflow:
			plan.Config, plan.File = "/opt/airflow/servicenow/servicenow.yml", "servicenow_dag.py"
		}
		if plan.File != "" {
			files[plan.File], err = c.ScheduleText(plan)
			require.NoError(t, err)
		}
		for name, want := range files {
			path := filepath.Join("..", "..", "examples", folder, name)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, want, 0o644))
			}
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "%s/%s: go test ./internal/starter -run Examples -update", folder, name)
		}
	}
}
