package config

// DefaultText is the configuration in force where none is given: every alert,
// grouped by what it is and what it is about, goes to standard output.
const DefaultText = `# Winnow without a configuration file. Save this as winnow.yml and change it; an
# existing alertmanager.yml works as it is.

route:
  receiver: stdout
  # Alerts that agree in these labels are one page.
  group_by: [alertname, namespace, service]
  group_wait: 30s      # how long a new group waits for more of its kind
  group_interval: 5m   # at most one update in this time
  repeat_interval: 4h  # how often a page is repeated while it still fires

receivers:
  - name: stdout       # an Alertmanager receiver; its integrations go here

winnow:
  sinks:               # Winnow's own ways out, each attached to a receiver
    - receiver: stdout
      stdout: {}
`

// Default is the configuration of DefaultText.
func Default() *Config {
	c, err := Parse("default", []byte(DefaultText))
	if err != nil {
		panic("config: the default configuration is not valid: " + err.Error())
	}
	return c
}
