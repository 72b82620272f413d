use super::*;
use serde_json::json;

fn render(template: &str, thing: &Value) -> Result<String, String> {
    match template.parse()? {
        Shape::Template(parsed) => parsed.render(thing).map_err(|error| error.to_string()),
        other => panic!("{template} is {other:?}"),
    }
}

#[test]
fn templates_print_as_gos_do() {
    let thing = json!({
        "Name": "web", "State": { "Running": true, "Pid": 7, "Error": "" }, "None": null,
        "Args": ["a", "b"], "Networks": { "n2": { "IP": "5.6.7.8" }, "n1": { "IP": "1.2.3.4" } },
        "Labels": { "tier": "front", "com.shop.web": "x y" }, "Id": "0123456789abcdef",
        "Ports": { "53/udp": null, "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }] },
        "Mounts": [{ "Source": "/a" }, { "Source": "/b" }], "Options": null, "Zero": 0, "Label": { "tier": "front" },
    });
    for (template, text) in [
        ("{{.Name}}", "web"),
        ("{{ .Name }}\\t{{.State.Pid}}!", "web\t7!"),
        ("{{.ID}} {{.Id}}", "0123456789abcdef 0123456789abcdef"),
        ("{{.State}}", "map[Error: Pid:7 Running:true]"),
        ("{{.Args}} {{.None}}", "[a b] <no value>"),
        ("{{json .Args}} {{json .Name}}", "[\"a\",\"b\"] \"web\""),
        ("{{range .Networks}}{{.IP}} {{end}}.", "1.2.3.4 5.6.7.8 ."),
        ("{{range .Args}}<{{.}}>{{end}}", "<a><b>"),
        (
            "{{if .State.Running}}up{{end}}{{if .State.Error}}bad{{end}}",
            "up",
        ),
        ("plain", "plain"),
        ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"),
        (
            "{{range $p, $conf := .Ports}}{{$p}}->{{(index $conf 0).HostPort}}{{end}}",
            "!",
        ),
        (
            "{{range $p, $conf := .Ports}}{{if $conf}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}{{end}}",
            "80/tcp -> 8080",
        ),
        (
            "{{range $i, $e := .Args}}{{if $i}}, {{end}}{{$i}}={{$e}}{{end}}",
            "0=a, 1=b",
        ),
        (
            "{{range $e := .Mounts}}{{$e.Source}} {{$.Name}};{{end}}",
            "/a web;/b web;",
        ),
        ("{{range .None}}x{{else}}none{{end}}", "none"),
        (
            "{{if .State.Error}}bad{{else if .State.Running}}up{{else}}down{{end}}",
            "up",
        ),
        (
            "{{with .State}}{{.Pid}}{{end}}{{with .None}}x{{else}}{{.Name}}{{end}}",
            "7web",
        ),
        (
            "{{index .Labels \"com.shop.web\"}}|{{index .Labels \"x\"}}|",
            "x y||",
        ),
        ("{{.Labels.tier}} {{.Labels.absent}}", "front <no value>"),
        ("{{.Label \"tier\"}}|{{.Label \"x\"}}|", "front||"),
        (
            "{{len .Args}} {{len .Name}} {{len .None}} {{len .Ports}}",
            "2 3 0 2",
        ),
        (
            "{{upper .Name}} {{.Name | upper}} {{lower \"AbC\"}} {{title \"a b-c\"}}",
            "WEB WEB abc A B-C",
        ),
        (
            "{{join .Args \", \"}} {{join (split \"a:b\" \":\") \"/\"}} {{split \"a:b\" \":\"}}",
            "a, b a/b [a b]",
        ),
        (
            "{{truncate .Id 12}} {{truncate .Name 12}} {{slice .Id 0 4}} {{slice .Args 1}}",
            "0123456789ab web 0123 [b]",
        ),
        (
            "{{printf \"%.5s|%-5s|%5s|%d|%03d|%q|%v%%\" .Id .Name .Name 7 7 .Name .Args}}",
            "01234|web  |  web|7|007|\"web\"|[a b]%",
        ),
        (
            "{{println .Name 1}}{{print 1 2 \"a\" \"b\" 3}}",
            "web 1\n1 2ab3",
        ),
        ("{{pad .Name 1 2}}|{{pad \"\" 3 3}}|", " web  ||"),
        (
            "{{eq .Name \"web\"}} {{eq 1 2 1}} {{ne .State.Pid 7}} {{lt 1 2}} {{ge \"a\" \"b\"}} {{gt 2 1.5}} {{le 2 2}}",
            "true true false true false true true",
        ),
        (
            "{{and .Name .State.Error .State.Pid.x}}|{{or .State.Error .Name}}|{{not .None}}",
            "|web|true",
        ),
        (
            "{{and .State.Health (eq .State.Health.Status \"healthy\")}}",
            "<no value>",
        ),
        (
            "{{.State.Health}} {{.State.PidsLimit}} {{.Options}} {{.State.Binds}}",
            "<nil> <nil> map[] []",
        ),
        (
            "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}",
            "none",
        ),
        (
            "{{$x := .Name}}{{if true}}{{$x = \"db\"}}{{$y := 1}}{{end}}{{$x}}",
            "db",
        ),
        ("a  {{- .Name -}}  b {{/* nothing */}}c", "awebb c"),
        // As docker's client 28.2.2 prints them.
        (
            "{{define \"one\"}}<{{.}}>{{end}}{{range .Args}}{{template \"one\" .}}{{end}}",
            "<a><b>",
        ),
        (
            "{{template \"late\" .State}}{{define \"late\"}}{{.Pid}} {{$.Running}}{{end}}",
            "7 true",
        ),
        (
            "{{define \"x\"}}{{.}}{{end}}{{template \"x\"}}",
            "<no value>",
        ),
        (
            "{{block \"b\" .Name}}[{{.}}]{{end}}{{template \"b\" 1}}",
            "[web][1]",
        ),
        (
            "{{define \"x\"}} {{end}}{{define \"x\"}}2{{end}}{{define \"x\"}}{{end}}{{template \"x\"}}",
            "2",
        ),
        ("{{\"a\\\"b\\n\"}}{{`\\n`}}", "a\"b\n\\n"),
        (
            "{{$.Name}} {{(.State).Pid}} {{true}} {{-1}} {{1.5}}",
            "web 7 true -1 1.5",
        ),
    ] {
        let printed = render(template, &thing);
        match text {
            // What has no entry cannot be indexed, in docker too.
            "!" => assert!(printed.is_err(), "{template}: {printed:?}"),
            text => assert_eq!(printed, Ok(text.to_owned()), "{template}"),
        }
    }
    for (template, said) in [
        (
            "{{.State.Nothing}}",
            "there is no field .State.Nothing here",
        ),
        (
            "{{.Name.Nothing}}",
            "there is nothing that .Name.Nothing could be in",
        ),
        ("{{index .Args 2}}", "index out of range: 2 of 2"),
        ("{{index .Name \"x\"}}", "there is no x in \"web\""),
        ("{{upper .State.Pid}}", "upper takes a text, and 7 is none"),
        ("{{eq .Name 1}}", "are of kinds that are not compared"),
        ("{{.Name 1}}", ".Name is no function and takes no argument"),
        ("{{$x}}", "undefined variable \"$x\""),
        ("{{len}}", "0 is a wrong number of arguments for len"),
        ("{{range .Name}}{{end}}", "range can't iterate over web"),
        ("{{template \"x\"}}", "template \"x\" not defined"),
        (
            "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}",
            "\"x\" is named by itself, over and over",
        ),
        (
            "{{define \"x\"}}{{$a}}{{end}}{{$a := 1}}{{template \"x\" .}}",
            "undefined variable \"$a\"",
        ),
        ("{{printf \"%z\" 1}}", "%z is not supported"),
        ("{{printf \"%s\"}}", "has more verbs than arguments"),
    ] {
        let error = render(template, &thing).unwrap_err();
        assert!(error.contains(said), "{template}: {error}");
    }
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    for (template, said) in [
        ("{{Name}}", "function \"Name\" not defined"),
        (
            "{{html .Name}}",
            "function \"html\" is not supported by dray",
        ),
        ("{{break}}", "{{break}} is not supported by dray"),
        (
            "{{if .Name}}{{define \"x\"}}{{end}}{{end}}",
            "unexpected {{define}} inside of a block",
        ),
        (
            "{{define x}}{{end}}",
            "{{define}} needs a name in quotation marks",
        ),
        (
            "{{template}}",
            "{{template}} needs a name in quotation marks",
        ),
        ("{{define \"x\" .}}{{end}}", "{{define}} takes a name only"),
        ("{{block \"x\"}}{{end}}", "{{block}} needs a value"),
        (
            "{{define \"x\"}}1{{end}}{{define \"x\"}}2{{end}}",
            "multiple definition of template \"x\"",
        ),
        ("{{define \"x\"}}", "an {{define}} has no {{end}}"),
        ("{{.Name", "has no \"}}\""),
        ("{{range .Args}}", "range}} has no {{end}}"),
        ("{{if .Args}}{{else}}", "if}} has no {{end}}"),
        ("{{end}}", "an {{end}} ends nothing"),
        ("{{else}}", "an {{else}} belongs to nothing"),
        ("{{(.Name}}", "a ( has no )"),
        ("{{.Name)}}", "a ) has no ("),
        ("{{}}", "a value is missing"),
        ("{{.Name |}}", "a value is missing"),
        ("{{\"x}}", "\" is missing"),
        ("{{1x}}", "\"1x\" is not a number"),
        ("{{.Name % 2}}", "'%' is not expected in an action"),
    ] {
        let error = template.parse::<Shape>().unwrap_err();
        assert!(error.contains(said), "{template}: {error}");
    }
}

#[test]
fn tables_have_headings_for_what_is_asked_for() {
    const HEADINGS: [(&str, &str); 2] = [("ID", "CONTAINER ID"), ("CPUPerc", "CPU %")];
    assert_eq!("json".parse(), Ok(Shape::Json));
    assert_eq!("table".parse(), Ok(Shape::Table));
    for (columns, wanted) in [
        (
            "{{.ID}}\\t{{.CreatedAt}}\\t{{.CPUPerc}}",
            "CONTAINER ID\tCREATED AT\tCPU %",
        ),
        (
            "{{upper .Names}} {{.Names | lower}} {{truncate .ID 4}}",
            "NAMES NAMES CONTAINER ID",
        ),
        ("{{.Label \"com.shop.web-tier\"}}", "web tier"),
        ("{{if .Ports}}{{.Ports}}{{end}}", "PORTS"),
        (
            "{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .Names}}",
            "<NAMES>",
        ),
        (
            "{{range (split .Names \",\")}}{{.}}{{end}}{{.Image}}",
            "IMAGE",
        ),
    ] {
        let Ok(Shape::Columns(template)) = format!("table {columns}").parse() else {
            panic!("{columns}");
        };
        assert_eq!(template.heading(&HEADINGS).unwrap(), wanted, "{columns}");
    }
}
