//! A template's tree filled in.

use anyhow::{anyhow, bail};
use serde_json::{Value, json};

use super::parse::{Base, Named, Node, Operand, Pipe};
use super::value::{in_order, is_something, shown};
use super::{Headings, functions, words};

/// Fields that hold whatever names somebody gave: one that is not there is no mistake, as in Go's maps.
const MAPS: [&str; 12] = [
    "Annotations",
    "Containers",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Docker's fields that are left out of documents where there is nothing in them, by what they are then.
const NUMBERS: &str = "BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpuShares GlobalIPv6PrefixLen \
    IPPrefixLen MaximumRetryCount Memory MemoryReservation MemorySwap NanoCpus OomScoreAdj ShmSize";
const SWITCHES: &str = "AttachStderr AttachStdin AttachStdout AutoRemove OpenStdin Privileged PublishAllPorts ReadonlyRootfs \
    StdinOnce Tty";
const TEXTS: &str = "Bridge CgroupParent ContainerIDFile CpusetCpus CpusetMems Domainname Driver Gateway GlobalIPv6Address \
    Hostname IPAddress IPv6Gateway IpcMode MacAddress Name PidMode Runtime StopSignal UTSMode User UsernsMode Variant \
    VolumeDriver WorkingDir";
const LISTS: &str = "Aliases Binds CapAdd CapDrop Cmd DNSNames DeviceCgroupRules DeviceRequests Devices Dns DnsOptions \
    DnsSearch Entrypoint Env ExecIDs ExtraHosts GroupAdd Links MaskedPaths OnBuild ReadonlyPaths SecondaryIPAddresses \
    SecondaryIPv6Addresses SecurityOpt Shell Ulimits VolumesFrom";
const NOTHING: &str = "Health Healthcheck IPAMConfig Init MemorySwappiness OomKillDisable PidsLimit SizeRootFs SizeRw \
    StopTimeout";

fn left_out(name: &str) -> Option<Value> {
    let is_of = |names: &str| names.split_whitespace().any(|known| known == name);
    match name {
        _ if is_of(NUMBERS) => Some(0.into()),
        _ if is_of(SWITCHES) => Some(false.into()),
        _ if is_of(TEXTS) => Some("".into()),
        _ if is_of(LISTS) => Some(json!([])),
        _ if is_of(NOTHING) => Some(Value::Null),
        "PortBindings" => Some(json!({})),
        map if MAPS.contains(&map) => Some(json!({})),
        _ => None,
    }
}

/// What Go prints where there is nothing: it knows what could be there.
fn nothing(pipe: &Pipe) -> &'static str {
    let field = match &pipe.commands[..] {
        [command] => match &command[..] {
            [operand] => operand.fields.last().map(String::as_str),
            _ => None,
        },
        _ => None,
    };
    let is_of = |names: &str| {
        let mut known = names.split_whitespace();
        field.is_some_and(|field| known.any(|known| known == field))
    };
    match field {
        _ if is_of(NOTHING) => "<nil>",
        _ if is_of(LISTS) => "[]",
        Some(map) if MAPS.contains(&map) => "map[]",
        _ => "<no value>",
    }
}

/// What is known while a template is filled in.
pub struct Scope<'a> {
    whole: &'a Value,
    variables: Vec<(String, Value)>,
    /// What stands above columns is wanted, and not what is in them.
    headings: Option<&'a Headings>,
    named: &'a Named,
    /// How many templates are being filled in for each other.
    depth: usize,
}

/// So many templates may be filled in for each other: one that names itself has no end. Go allows more, with a stack that grows.
const MAX_DEPTH: usize = 100;

impl<'a> Scope<'a> {
    /// For one thing.
    pub fn new(whole: &'a Value, named: &'a Named) -> Scope<'a> {
        Scope {
            whole,
            variables: Vec::new(),
            headings: None,
            named,
            depth: 0,
        }
    }

    /// For the heading of a table.
    pub fn of_heading(headings: &'a Headings, named: &'a Named) -> Scope<'a> {
        Scope {
            headings: Some(headings),
            ..Scope::new(&Value::Null, named)
        }
    }

    /// Appends the text for these parts.
    pub fn render(&mut self, nodes: &[Node], dot: &Value, text: &mut String) -> anyhow::Result<()> {
        for node in nodes {
            // What a block declares ends with it.
            let known = self.variables.len();
            match node {
                Node::Text(part) => text.push_str(part),
                Node::Print(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.sets.is_empty() {
                        text.push_str(&match value {
                            Value::Null => nothing(pipe).to_owned(),
                            value => shown(&value),
                        });
                    }
                    continue;
                }
                Node::If(pipe, yes, no) => match is_something(&self.pipe(pipe, dot)?) {
                    true => self.render(yes, dot, text)?,
                    false => self.render(no, dot, text)?,
                },
                Node::With(pipe, yes, no) => {
                    let value = self.pipe(pipe, dot)?;
                    match is_something(&value) {
                        true => self.render(yes, &value, text)?,
                        false => self.render(no, dot, text)?,
                    }
                }
                Node::Range(pipe, each, none) => self.range(pipe, (each, none), dot, text)?,
                Node::Call(name, pipe) => {
                    let value = match pipe {
                        Some(pipe) => self.pipe(pipe, dot)?,
                        None => Value::Null,
                    };
                    self.call(name, &value, text)?;
                }
            }
            self.variables.truncate(known);
        }
        Ok(())
    }

    /// Another template: of the one that names it, it knows what it is given and nothing else.
    fn call(&self, name: &str, value: &Value, text: &mut String) -> anyhow::Result<()> {
        let nodes = self.named.get(name);
        let nodes = nodes.ok_or_else(|| anyhow!("template: template {name:?} not defined"))?;
        if self.depth == MAX_DEPTH {
            bail!("template: {name:?} is named by itself, over and over");
        }
        let mut scope = Scope {
            headings: self.headings,
            depth: self.depth + 1,
            ..Scope::new(value, self.named)
        };
        scope.render(nodes, value, text)
    }

    fn range(
        &mut self,
        pipe: &Pipe,
        (each, none): (&[Node], &[Node]),
        dot: &Value,
        text: &mut String,
    ) -> anyhow::Result<()> {
        let entries: Vec<(Value, Value)> = match self.commands(pipe, dot)? {
            Value::Array(all) => (0..).map(|at: usize| at.into()).zip(all).collect(),
            Value::Object(all) => in_order(&all)
                .map(|(key, one)| (key.as_str().into(), one.clone()))
                .collect(),
            Value::Null => Vec::new(),
            _ if self.headings.is_some() => Vec::new(),
            other => bail!("template: range can't iterate over {}", shown(&other)),
        };
        if entries.is_empty() {
            return self.render(none, dot, text);
        }
        for (key, one) in entries {
            let known = self.variables.len();
            match &pipe.sets[..] {
                [value] => self.set(value, one.clone(), pipe.declares)?,
                [place, value] => {
                    self.set(place, key, pipe.declares)?;
                    self.set(value, one.clone(), pipe.declares)?;
                }
                _ => {}
            }
            self.render(each, &one, text)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> anyhow::Result<Value> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.sets {
            self.set(name, value.clone(), pipe.declares)?;
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &Pipe, dot: &Value) -> anyhow::Result<Value> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(
        &mut self,
        operands: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> anyhow::Result<Value> {
        let (first, rest) = (&operands[0], &operands[1..]);
        let Base::Function(name) = &first.base else {
            return self.value(first, rest, dot, last);
        };
        if let "and" | "or" = &name[..] {
            // What decides is the outcome, and what follows it is not looked at.
            let mut outcome = None;
            for operand in rest {
                let value = self.operand(operand, dot)?;
                if is_something(&value) == (name == "or") {
                    return Ok(value);
                }
                outcome = Some(value);
            }
            return last
                .or(outcome)
                .ok_or_else(|| anyhow!("template: {name} needs an argument"));
        }
        let arguments = rest.iter().map(|operand| self.operand(operand, dot));
        let arguments: anyhow::Result<Vec<Value>> = arguments.chain(last.map(Ok)).collect();
        if self.headings.is_some() && functions::KEPT_IN_HEADINGS.contains(&&name[..]) {
            return Ok(arguments?.into_iter().next().unwrap_or_default());
        }
        functions::call(name, &arguments?)
    }

    /// A value in the place of a function: the only one that takes an argument is `.Label`.
    fn value(
        &mut self,
        first: &Operand,
        rest: &[Operand],
        dot: &Value,
        last: Option<Value>,
    ) -> anyhow::Result<Value> {
        let arguments = rest.iter().map(|operand| self.operand(operand, dot));
        let arguments: Vec<Value> = arguments.chain(last.map(Ok)).collect::<Result<_, _>>()?;
        match (first.fields.last().map(String::as_str), &arguments[..]) {
            (_, []) => self.operand(first, dot),
            (Some("Label"), [Value::String(label)]) if self.headings.is_some() => Ok(label
                .rsplit('.')
                .next()
                .unwrap_or_default()
                .replace(['-', '_'], " ")
                .into()),
            (Some("Label"), [Value::String(label)]) => {
                let labels = self.operand(first, dot)?;
                Ok(labels.get(label).cloned().unwrap_or_else(|| "".into()))
            }
            (name, _) => bail!(
                "template: {} is no function and takes no argument",
                name.map_or_else(|| "a value".to_owned(), |name| format!(".{name}"))
            ),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> anyhow::Result<Value> {
        if let (Some(headings), Some(name)) = (self.headings, operand.fields.last()) {
            let own = headings.iter().find(|(field, _)| field == name);
            let heading = own.map(|(_, heading)| (*heading).to_owned());
            return Ok(heading.unwrap_or_else(|| words(name).to_uppercase()).into());
        }
        let base = match &operand.base {
            Base::Dot => return find(&operand.fields, dot),
            Base::Variable(name) if name.is_empty() => return find(&operand.fields, self.whole),
            Base::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = known.map(|(_, value)| value.clone());
                value.ok_or_else(|| anyhow!("template: undefined variable \"${name}\""))?
            }
            Base::Constant(value) => value.clone(),
            Base::Function(_) => self.command(std::slice::from_ref(operand), dot, None)?,
            Base::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        find(&operand.fields, &base)
    }

    fn set(&mut self, name: &str, value: Value, declares: bool) -> anyhow::Result<()> {
        if declares {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let known = self
            .variables
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name);
        match known {
            Some(known) => known.1 = value,
            None => bail!("template: undefined variable \"${name}\""),
        }
        Ok(())
    }
}

/// What a field is called in documents, where Docker's own programs have another name for it; its templates take either.
fn in_documents(name: &str) -> &str {
    match name {
        "ID" => "Id",
        "DNS" => "Dns",
        "DNSOptions" => "DnsOptions",
        "DNSSearch" => "DnsSearch",
        other => other,
    }
}

fn find(path: &[String], thing: &Value) -> anyhow::Result<Value> {
    let mut found = thing;
    let mut within = "";
    for (at, name) in path.iter().enumerate() {
        let more = at + 1 < path.len();
        match found.get(name).or_else(|| found.get(in_documents(name))) {
            Some(one) => found = one,
            None if !found.is_object() => bail!(
                "template: there is nothing that .{} could be in",
                path.join(".")
            ),
            None if MAPS.contains(&within) && !more => return Ok(Value::Null),
            None => match left_out(name).filter(|_| !more) {
                Some(nothing) => return Ok(nothing),
                None => bail!("template: there is no field .{} here", path.join(".")),
            },
        }
        within = name;
    }
    Ok(found.clone())
}
