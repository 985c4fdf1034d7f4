package house

import (
	"strconv"
	"strings"
)

// configMark is the line that says that a YAML block is a whole configuration.
const configMark = "# winnow config"

// Configs wants every YAML block with the line "# winnow config" to load.
func Configs(t *Tree, load func([]byte) error) []Finding {
	var out []Finding
	for _, doc := range t.Markdown() {
		for _, b := range blocks(doc.Body) {
			if !contains("yaml yml", b.lang) || !hasLine(b.text, configMark) {
				continue
			}
			if err := load([]byte(b.text)); err != nil {
				out = append(out, Finding{doc.Path + ":" + strconv.Itoa(b.n), "a configuration that does not load (" + err.Error() + ")",
					truthWhy, "mend it, or take its line “" + configMark + "” away if it is only a part"})
			}
		}
	}
	return out
}

func hasLine(text, line string) bool {
	for l := range strings.Lines(text) {
		if strings.TrimSpace(l) == line {
			return true
		}
	}
	return false
}
