package house

import "testing"

func TestSecrets(t *testing.T) {
	f := func(body string, want ...string) {
		t.Helper()
		for i, w := range want {
			want[i] = "ingest/a.go:" + w + ": compares a secret"
		}
		expect(t, Secrets(oneFile(t, "ingest/a.go", "package ingest\n"+body)), want...)
	}
	f("func F(a, b string) bool { return a == b }")
	f("func F(token, want string) bool { return token == want }", "2")
	f("func F(want, token string) bool { return want != token }", "2")
	f("type k struct { Password string }\nfunc F(c k, got string) bool { return got == c.Password }", "3")
	f("type Secret string\nfunc F(secret Secret, b string) bool { return string(secret) == b }", "3")
	f("func F(a string, secret []byte) bool { return a == string(secret[2:]) }", "2")
	f("func F(sum, want [32]byte) bool { return sum == want }", "2")
	f("import \"bytes\"\nfunc F(mac, want []byte) bool { return bytes.Equal(mac[:], want) }", "3")
	f("import \"strings\"\nfunc F(token, want string) bool { return strings.EqualFold(token, want) }", "3")
	f("import \"slices\"\nfunc F(tokens []string, got string) bool { return slices.Contains(tokens, got) }", "3")
	f("func F(token, a string) bool {\n switch token {\n case a:\n  return true\n }\n return false\n}", "4")
	f("import \"crypto/sha256\"\nfunc F(a, b []byte) bool { return sha256.Sum256(a) == sha256.Sum256(b) }")
	f("import \"crypto/hmac\"\nfunc F(sum, want []byte) bool { return hmac.Equal(sum, want) }")
	f("func F(token string) bool { return token == \"\" }")
	f("func F(secret []byte) bool { return secret == nil || len(secret) == 7 }")
	f("const basic = \"basic\"\nfunc F(token string) bool { return token == basic }")
	expect(t, Secrets(oneFile(t, "ledger/a.go", "package ledger\nfunc F(sum, want int) bool { return sum == want }")))
}
