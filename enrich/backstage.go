package enrich

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

// document is the part of Backstage's entity format that is read here
// (backstage.io/docs/features/software-catalog/descriptor-format). Unknown
// keys are Backstage's own business.
type document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name        string            `yaml:"name"`
		Labels      map[string]string `yaml:"labels"`
		Annotations map[string]string `yaml:"annotations"`
		Links       []struct {
			URL   string `yaml:"url"`
			Title string `yaml:"title"`
			Icon  string `yaml:"icon"`
			Type  string `yaml:"type"`
		} `yaml:"links"`
	} `yaml:"metadata"`
	Spec struct {
		Owner     string `yaml:"owner"`
		System    string `yaml:"system"`
		Lifecycle string `yaml:"lifecycle"`
	} `yaml:"spec"`
}

// parseDocument returns nil for the kinds that are of no use to a page: APIs,
// resources, groups, templates.
func parseDocument(node *yaml.Node) (*entry, error) {
	var head struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
	}
	if err := node.Load(&head); err != nil {
		return nil, err
	}
	switch {
	case head.Kind == "":
		return nil, fmt.Errorf("no kind: want a Backstage document, as kind: Component")
	case !strings.HasPrefix(head.APIVersion, "backstage.io/"):
		return nil, fmt.Errorf("apiVersion %q: want Backstage's, as backstage.io/v1alpha1", head.APIVersion)
	case head.Kind != "Component" && head.Kind != "System":
		return nil, nil
	}
	var d document
	if err := node.Load(&d); err != nil {
		return nil, err
	}
	if d.Metadata.Name == "" {
		return nil, fmt.Errorf("%s without metadata.name", d.Kind)
	}
	e := &entry{
		kind:      d.Kind,
		name:      d.Metadata.Name,
		owner:     entityName(d.Spec.Owner),
		tier:      tierOf(d.Metadata.Labels, d.Metadata.Annotations),
		lifecycle: d.Spec.Lifecycle,
		system:    entityName(d.Spec.System),
	}
	for i, l := range d.Metadata.Links {
		if l.URL == "" {
			return nil, fmt.Errorf("%s %q: metadata.links[%d] has no url", d.Kind, e.name, i)
		}
		u, err := webURL(l.URL)
		if err != nil {
			continue // mailto:, slack: and the like are fine in Backstage
		}
		kind := strings.ToLower(l.Type + " " + l.Icon + " " + l.Title)
		switch {
		case e.dashboard == "" && strings.Contains(kind, "dashboard"):
			e.dashboard = u.String()
		case e.runbook == "" && strings.Contains(kind, "runbook"):
			e.runbook = u.String()
		default:
			e.links = append(e.links, Link{Title: first(l.Title, u.Host), URL: u.String()})
		}
	}
	return e, nil
}

// entityName shortens a reference, [kind:][namespace/]name, to what people
// call it: group:default/payments is payments.
func entityName(ref string) string {
	if kind, rest, ok := strings.Cut(ref, ":"); ok {
		switch strings.ToLower(kind) {
		case "group", "user", "system":
			ref = rest
		}
	}
	return strings.TrimPrefix(ref, "default/")
}

// tierKeys are the last parts of the label and annotation keys that tell how
// much a service matters, best first. Backstage itself defines none.
var tierKeys = [...]string{"tier", "service-tier", "criticality"}

func tierOf(sets ...map[string]string) string {
	for _, want := range tierKeys {
		for _, set := range sets {
			best := ""
			for key := range set { // of several prefixes the first by name, whatever the order of the map
				if key[strings.LastIndexByte(key, '/')+1:] == want && set[key] != "" && (best == "" || key < best) {
					best = key
				}
			}
			if best != "" {
				return set[best]
			}
		}
	}
	return ""
}
