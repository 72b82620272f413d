//! A template's pieces as a tree.

use std::collections::BTreeMap;
use std::vec::IntoIter;

use serde_json::Value;

use super::functions;
use super::lex::{Piece, Token};

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Printed as it is.
    Text(String),
    /// Worked out, and printed unless it only sets a variable.
    Print(Pipe),
    /// The first parts if there is something, else the second ones.
    If(Pipe, Vec<Node>, Vec<Node>),
    /// The same, with what there is as the dot.
    With(Pipe, Vec<Node>, Vec<Node>),
    /// The first parts for each entry, the second ones if there is none.
    Range(Pipe, Vec<Node>, Vec<Node>),
    /// The template of this name, with the outcome as the dot and as the whole.
    Call(String, Option<Pipe>),
}

/// Templates that others name, by `define` or `block`.
pub type Named = BTreeMap<String, Vec<Node>>;

/// Commands, each of which gets what the one before gave as its last argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipe {
    /// Variables that are set to the outcome.
    pub sets: Vec<String>,
    /// Whether they are made by this.
    pub declares: bool,
    /// A function or a value, and arguments.
    pub commands: Vec<Vec<Operand>>,
}

/// A value, and which field of which of its fields is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    /// What is meant without fields.
    pub base: Base,
    /// Names from the outside in.
    pub fields: Vec<String>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// `.`
    Dot,
    /// `$name`
    Variable(String),
    /// As written.
    Constant(Value),
    /// A function.
    Function(String),
    /// `( … )`
    Pipe(Box<Pipe>),
}

/// What ended a block.
#[derive(PartialEq)]
enum Ended {
    /// The template is at its end.
    Whole,
    /// By `end`.
    End,
    /// With what follows the word, as in `else if`.
    Else(Vec<Token>),
}

/// The tree of a whole template, and what it names.
pub fn parse(pieces: Vec<Piece>) -> Result<(Vec<Node>, Named), String> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        named: Named::new(),
        depth: 0,
    };
    match parser.block()? {
        (nodes, Ended::Whole) => Ok((nodes, parser.named)),
        (_, Ended::End) => Err("template: an {{end}} ends nothing".into()),
        (_, Ended::Else(_)) => Err("template: an {{else}} belongs to nothing".into()),
    }
}

struct Parser {
    pieces: IntoIter<Piece>,
    named: Named,
    /// How many blocks are open.
    depth: usize,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Ended), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let mut tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let word = match tokens.first() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match &word[..] {
                "end" => return Ok((nodes, Ended::End)),
                "else" => return Ok((nodes, Ended::Else(tokens.split_off(1)))),
                "if" | "with" | "range" => {
                    nodes.push(self.control(&word, tokens.split_off(1))?);
                }
                "define" if self.depth > 0 => {
                    return Err("template: unexpected {{define}} inside of a block".into());
                }
                "block" | "define" | "template" => {
                    nodes.extend(self.call(&word, tokens.split_off(1))?);
                }
                "break" | "continue" => {
                    return Err(format!("template: {{{{{word}}}}} is not supported by dray"));
                }
                _ => nodes.push(Node::Print(whole(tokens)?)),
            }
        }
        Ok((nodes, Ended::Whole))
    }

    /// Parts up to the end of a block, and how they end.
    fn inner(&mut self) -> Result<(Vec<Node>, Ended), String> {
        self.depth += 1;
        let inner = self.block();
        self.depth -= 1;
        inner
    }

    /// `template`, and `block`, which is one that is defined where it stands; `define` alone leaves nothing in its place.
    fn call(&mut self, word: &str, mut tokens: Vec<Token>) -> Result<Option<Node>, String> {
        let rest = tokens.split_off(tokens.len().min(1));
        let Some(Token::Constant(Value::String(name))) = tokens.pop() else {
            return Err(format!(
                "template: {{{{{word}}}}} needs a name in quotation marks"
            ));
        };
        let pipe = match (word, rest.is_empty()) {
            ("define", false) => return Err("template: {{define}} takes a name only".into()),
            ("block", true) => return Err("template: {{block}} needs a value".into()),
            (_, true) => None,
            (_, false) => Some(whole(rest)?),
        };
        if word != "template" {
            let (nodes, Ended::End) = self.inner()? else {
                return Err(format!("template: an {{{{{word}}}}} has no {{{{end}}}}"));
            };
            self.name(&name, nodes)?;
        }
        Ok((word != "define").then_some(Node::Call(name, pipe)))
    }

    /// As in Go, one with nothing in it gives way to any other of its name.
    fn name(&mut self, name: &str, nodes: Vec<Node>) -> Result<(), String> {
        let is_blank =
            |node: &Node| matches!(node, Node::Text(text) if text.trim_start().is_empty());
        let is_empty = |nodes: &[Node]| nodes.iter().all(is_blank);
        match self.named.get(name).is_none_or(|known| is_empty(known)) {
            true => drop(self.named.insert(name.to_owned(), nodes)),
            false if is_empty(&nodes) => {}
            false => {
                return Err(format!(
                    "template: multiple definition of template {name:?}"
                ));
            }
        }
        Ok(())
    }

    /// `if`, `with` or `range`, up to the end of it.
    fn control(&mut self, word: &str, tokens: Vec<Token>) -> Result<Node, String> {
        let pipe = whole(tokens)?;
        let unended = || format!("template: an {{{{{word}}}}} has no {{{{end}}}}");
        let (first, end) = self.inner()?;
        let second = match end {
            Ended::Whole => return Err(unended()),
            Ended::End => Vec::new(),
            Ended::Else(mut more) => match more.first() {
                None => match self.inner()? {
                    (nodes, Ended::End) => nodes,
                    _ => return Err(unended()),
                },
                // It shares the end.
                Some(Token::Word(same)) if same == word && word != "range" => {
                    vec![self.control(word, more.split_off(1))?]
                }
                Some(_) => {
                    return Err(format!(
                        "template: {{{{else}}}} of {word} is followed by more"
                    ));
                }
            },
        };
        Ok(match word {
            "if" => Node::If(pipe, first, second),
            "with" => Node::With(pipe, first, second),
            _ => Node::Range(pipe, first, second),
        })
    }
}

fn whole(tokens: Vec<Token>) -> Result<Pipe, String> {
    pipe(&mut tokens.into_iter(), false)
}

/// Commands up to the end of the action, or to the `)`.
fn pipe(tokens: &mut IntoIter<Token>, inside: bool) -> Result<Pipe, String> {
    let (sets, declares) = variables(tokens);
    let mut commands = vec![Vec::new()];
    let last = loop {
        let operands: &mut Vec<Operand> = commands.last_mut().unwrap_or_else(|| unreachable!());
        let base = match tokens.next() {
            None => break None,
            Some(Token::Sign(')')) => break Some(')'),
            Some(Token::Sign('|')) => {
                commands.push(Vec::new());
                continue;
            }
            Some(Token::Field(name, true)) if !operands.is_empty() => {
                let last = operands.len() - 1;
                operands[last].fields.push(name);
                continue;
            }
            Some(Token::Field(name, _)) => {
                let fields = vec![name];
                operands.push(Operand {
                    base: Base::Dot,
                    fields,
                });
                continue;
            }
            Some(Token::Dot) => Base::Dot,
            Some(Token::Variable(name)) => Base::Variable(name),
            Some(Token::Constant(value)) => Base::Constant(value),
            Some(Token::Word(word)) => named(&word)?,
            Some(Token::Sign('(')) => Base::Pipe(Box::new(pipe(tokens, true)?)),
            Some(other) => return Err(format!("template: {other:?} is not expected there")),
        };
        operands.push(Operand {
            base,
            fields: Vec::new(),
        });
    };
    match last {
        None if inside => Err("template: a ( has no )".into()),
        Some(_) if !inside => Err("template: a ) has no (".into()),
        _ if commands.iter().any(Vec::is_empty) => Err("template: a value is missing".into()),
        _ => Ok(Pipe {
            sets,
            declares,
            commands,
        }),
    }
}

/// `$name :=`, `$name =` or `$name, $name :=`, if the action begins with one.
fn variables(tokens: &mut IntoIter<Token>) -> (Vec<String>, bool) {
    let (names, sign) = match tokens.as_slice() {
        [Token::Variable(name), sign, ..] => (vec![name.clone()], sign),
        _ => return (Vec::new(), false),
    };
    let (names, sign) = match (sign, tokens.as_slice()) {
        (Token::Sign(','), [_, _, Token::Variable(other), sign, ..]) => {
            (vec![names[0].clone(), other.clone()], sign)
        }
        _ => (names, sign),
    };
    let declares = match sign {
        Token::Declare => true,
        Token::Assign => false,
        _ => return (Vec::new(), false),
    };
    tokens.nth(if names.len() == 1 { 1 } else { 3 });
    (names, declares)
}

/// What a word stands for.
fn named(word: &str) -> Result<Base, String> {
    match word {
        "true" => Ok(Base::Constant(true.into())),
        "false" => Ok(Base::Constant(false.into())),
        "nil" => Ok(Base::Constant(Value::Null)),
        word if functions::NAMES.contains(&word) => Ok(Base::Function(word.to_owned())),
        word if functions::REFUSED.contains(&word) => Err(format!(
            "template: function {word:?} is not supported by dray"
        )),
        word => Err(format!("template: function {word:?} not defined")),
    }
}
