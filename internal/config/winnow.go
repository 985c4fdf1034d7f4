package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/winnowhq/winnow/correlate"
	"github.com/winnowhq/winnow/enrich"
	"github.com/winnowhq/winnow/ingest"
	"github.com/winnowhq/winnow/internal/access"
	"github.com/winnowhq/winnow/internal/heartbeat"
	"github.com/winnowhq/winnow/internal/selfalert"
	"github.com/winnowhq/winnow/sinks"
)

// Winnow is what stands under the key winnow. Each part belongs to the package
// that it configures; what is not said has that package's defaults.
type Winnow struct {
	Access access.Config `yaml:"access,omitempty"`
	Ingest ingest.Config `yaml:"ingest,omitempty"`
	Enrich enrich.Config `yaml:"enrich,omitempty"`
	Sinks  sinks.Config  `yaml:"sinks,omitempty"`

	// SelfAlert is where people hear of troubles of Winnow itself.
	SelfAlert selfalert.Config `yaml:"self_alert,omitempty"`

	// Heartbeat is who outside hears that Winnow works.
	Heartbeat heartbeat.Config `yaml:"heartbeat,omitempty"`

	// Storm is how many groups may open at a receiver before they are a storm.
	Storm correlate.StormLimit `yaml:"storm"`

	// MaxAlerts bounds the alerts that are known at a time.
	MaxAlerts int `yaml:"max_alerts,omitempty"`

	// FallbackReceiver gets what another receiver's provider refuses for good.
	FallbackReceiver string `yaml:"fallback_receiver,omitempty"`
}

var winnowType = reflect.TypeFor[Winnow]()

// readWinnow decodes Winnow's part of the file, fills in defaults and paths and
// asks each owner what is wrong with its part.
func (p *parser) readWinnow(own *yaml.Node) {
	p.winnow = Winnow{Enrich: enrich.Defaults(), Storm: correlate.StormLimit{NewGroups: correlate.DefaultNewGroups}}
	if own != nil && !isNull(own) {
		if err := decodeV4(own, &p.winnow); err != nil {
			m := plainError(err)
			p.fault(locate(own, m), "%s", m)
			return
		}
	}
	p.winnow.Ingest.Defaults()
	if p.dir != "" {
		resolvePaths(reflect.ValueOf(&p.winnow), p.dir)
	}
	p.complain(own, "access", p.winnow.Access.Validate())
	p.complain(own, "ingest", p.winnow.Ingest.Validate())
	p.complain(own, "enrich", p.winnow.Enrich.Validate())
	p.complain(own, "sinks", p.winnow.Sinks.Validate())
	p.complain(own, "self_alert", p.winnow.SelfAlert.Validate())
	p.complain(own, "heartbeat", p.winnow.Heartbeat.Validate())
	p.complain(own, "storm", p.winnow.Storm.Validate())
	p.complain(own, "max_alerts", correlate.ValidateMaxAlerts(p.winnow.MaxAlerts))
	p.complain(own, "fallback_receiver", p.checkFallback())
}

func (p *parser) checkFallback() error {
	name := p.winnow.FallbackReceiver
	if name == "" || p.am == nil {
		return nil
	}
	for i := range p.am.Receivers {
		if p.am.Receivers[i].Name == name {
			return nil
		}
	}
	return fmt.Errorf("fallback_receiver: receiver %q is not defined", name)
}

// complain reports what the owner of a part has found in it.
func (p *parser) complain(own *yaml.Node, part string, err error) {
	if err == nil {
		return
	}
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		message := err.Error()
		if !strings.HasPrefix(message, part) {
			message = part + ": " + message
		}
		at := follow(own, message)
		if at != nil {
			at = locate(at, message)
		}
		p.fault(at, "%s.%s", winnowKey, message)
	}
}

// step is one part of the path at the beginning of an owner's message, as in
// "enrich.runbooks[3].url: ..." or "sources: grafana: tokens[0]: ...".
var step = regexp.MustCompile(`^([A-Za-z0-9_-]+)?(?:\[(\d+)\])?(?:\.|: ?| is |$)?`)

// follow returns the deepest value that the path of a message leads to.
func follow(n *yaml.Node, message string) *yaml.Node {
	for n != nil {
		at := step.FindStringSubmatch(message)
		if at == nil || at[0] == "" {
			return n
		}
		next := n
		if at[1] != "" {
			next = get(n, at[1])
		}
		if at[2] != "" {
			i, err := strconv.Atoi(at[2])
			if list := items(next); err == nil && i < len(list) {
				next = list[i]
			}
		}
		if next == nil {
			return n
		}
		n, message = next, message[len(at[0]):]
	}
	return n
}
