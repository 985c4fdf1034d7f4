package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Service is one of the shop's services.
type Service struct {
	Name      string
	Namespace string
	Owner     string // the team on call
	Tier      string // 1 is what the shop cannot sell without
	Pods      int
	Calls     []string // the services that it asks while it answers
}

// services is the shop: who runs where, who owns it, and who calls whom.
var services = []Service{
	{"edge-gateway", "storefront", "web", "1", 4, []string{"web-shop", "mobile-api"}},
	{"web-shop", "storefront", "web", "1", 12, []string{"checkout", "cart", "catalog", "search", "recommendations", "login"}},
	{"mobile-api", "storefront", "web", "1", 8, []string{"checkout", "cart", "catalog", "search", "login"}},
	{"catalog", "catalog", "discovery", "2", 6, []string{"product-db"}},
	{"recommendations", "catalog", "discovery", "3", 4, []string{"catalog"}},
	{"search", "search", "discovery", "2", 5, []string{"catalog"}},
	{"checkout", "checkout", "checkout", "1", 10, []string{"cart", "pricing", "payments", "orders", "accounts"}},
	{"cart", "checkout", "checkout", "1", 8, []string{"pricing", "session-cache"}},
	{"pricing", "checkout", "checkout", "2", 4, []string{"promotions"}},
	{"promotions", "checkout", "checkout", "3", 3, nil},
	{"payments", "payments", "payments", "1", 10, []string{"fraud-check", "payments-db", "event-bus"}},
	{"fraud-check", "payments", "payments", "1", 6, []string{"accounts", "payments-db"}},
	{"refunds", "payments", "payments", "2", 3, []string{"payments", "payments-db"}},
	{"orders", "fulfilment", "fulfilment", "1", 8, []string{"payments", "inventory", "event-bus"}},
	{"inventory", "fulfilment", "fulfilment", "2", 6, []string{"product-db"}},
	{"shipping", "fulfilment", "fulfilment", "2", 4, []string{"orders", "event-bus"}},
	{"mailer", "fulfilment", "fulfilment", "3", 3, []string{"event-bus"}},
	{"login", "identity", "identity", "1", 6, []string{"accounts", "session-cache"}},
	{"accounts", "identity", "identity", "1", 4, nil},
	{"reports", "reporting", "finance", "3", 2, []string{"payments-db"}},
	{"payments-db", "data", "databases", "1", 3, nil},
	{"product-db", "data", "databases", "2", 2, nil},
	{"session-cache", "data", "databases", "2", 3, nil},
	{"event-bus", "data", "databases", "1", 3, nil},
}

// namespaces are the systems that own what names no service.
var namespaces = []struct{ name, owner string }{
	{"storefront", "web"}, {"fulfilment", "fulfilment"}, {"identity", "identity"}, {"data", "databases"},
	{"reporting", "finance"}, {"monitoring", "platform"},
}

// Names that the story and the configuration share.
const (
	cluster = "eu-1"
	workers = 12

	brokenDB   = "payments-db" // what the deploy of payments makes slow
	downNode   = "worker-07"
	fullNode   = "worker-03"
	inRepair   = "search" // the namespace under maintenance
	loginProbe = "https://login.shop.example"
)

// pod is one instance of a service.
type pod struct {
	service *Service
	name    string
	node    string
}

// shop is what one seed makes of the services: pods with names, on nodes.
type shop struct {
	byName map[string]*Service
	pods   map[string][]pod // by service, in order
}

func newShop(rng *rand.Rand) *shop {
	s := &shop{byName: map[string]*Service{}, pods: map[string][]pod{}}
	next := 0
	for i := range services {
		v := &services[i]
		s.byName[v.Name] = v
		hash := word(rng, 9)
		for range v.Pods {
			// The scheduler spreads pods evenly, whatever the seed.
			s.pods[v.Name] = append(s.pods[v.Name], pod{v, v.Name + "-" + hash + "-" + word(rng, 5), nodeName(next)})
			next++
		}
	}
	return s
}

func nodeName(i int) string { return fmt.Sprintf("worker-%02d", i%workers+1) }

// word makes a random part of a pod's name, of the letters that Kubernetes uses.
func word(rng *rand.Rand, n int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rng.IntN(len(letters))]
	}
	return string(b)
}

// on lists the pods of a node.
func (s *shop) on(node string) []pod {
	var out []pod
	for i := range services {
		for _, p := range s.pods[services[i].Name] {
			if p.node == node {
				out = append(out, p)
			}
		}
	}
	return out
}

// dependent is a service that cannot work without another.
type dependent struct {
	*Service
	Distance int    // calls between the two; 1 asks it directly
	Through  string // whom it asks on the shortest way
}

// dependents lists the services that reach a service through their calls, the
// nearest first.
func (s *shop) dependents(of string) []dependent {
	var out []dependent
	seen := map[string]bool{of: true}
	for ring, distance := []string{of}, 1; len(ring) > 0; distance++ {
		var next []string
		for i := range services {
			v := &services[i]
			through := slices.IndexFunc(v.Calls, func(c string) bool { return slices.Contains(ring, c) })
			if seen[v.Name] || through < 0 {
				continue
			}
			out = append(out, dependent{v, distance, v.Calls[through]})
			next = append(next, v.Name)
		}
		for _, name := range next {
			seen[name] = true
		}
		ring = next
	}
	return out
}

// catalogue writes the shop as Backstage's catalog-info.yaml has it.
func catalogue() string {
	var b strings.Builder
	for _, n := range namespaces {
		fmt.Fprintf(&b, `---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: %s}
spec: {owner: "group:default/%s"}
`, n.name, n.owner)
	}
	for i := range services {
		v := &services[i]
		fmt.Fprintf(&b, `---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: %[1]s
  labels: {shop.example/tier: "%[2]s"}
  links: [{title: Dashboard, url: "https://grafana.shop.example/d/%[1]s"}]
spec: {type: service, lifecycle: production, owner: "group:default/%[3]s"}
`, v.Name, v.Tier, v.Owner)
	}
	return b.String()
}
