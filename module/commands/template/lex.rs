//! A template's letters as text and actions, and an action's letters as tokens. Go's text/template is the grammar.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Number, Value};

/// What a template consists of.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Printed as it is.
    Text(String),
    /// What stands between `{{` and `}}`.
    Action(Vec<Token>),
}

/// What an action consists of.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// `.`
    Dot,
    /// `.Name`; whether it is of what stands right before it.
    Field(String, bool),
    /// `$name`, and `$` for the whole.
    Variable(String),
    /// A function or a keyword.
    Word(String),
    /// A text or a number.
    Constant(Value),
    /// One of `( ) | ,`.
    Sign(char),
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// All pieces of a template.
pub fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trims = false;
    loop {
        let (text, action) = match rest.split_once("{{") {
            Some((text, action)) => (text, Some(action)),
            None => (rest, None),
        };
        let mut text = if trims { text.trim_start() } else { text };
        // A minus sign takes the blanks beside the action away.
        let minus = action.and_then(|action| action.strip_prefix('-'));
        let inside = minus.filter(|inside| inside.starts_with(char::is_whitespace));
        if inside.is_some() {
            text = text.trim_end();
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(escaped(text)));
        }
        let Some(action) = inside.or(action) else {
            return Ok(pieces);
        };
        let (tokens, after) = action_of(action)?;
        trims = action[..action.len() - after.len()].ends_with(" -}}");
        if let Some(tokens) = tokens {
            pieces.push(Piece::Action(tokens));
        }
        rest = after;
    }
}

/// As docker's lists take them.
fn escaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// The tokens of the action that begins here, none if it is a comment, and what follows it.
fn action_of(text: &str) -> Result<(Option<Vec<Token>>, &str), String> {
    let unclosed = "template: a \"{{\" has no \"}}\"";
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let (_, after) = comment.split_once("*/").ok_or(unclosed)?;
        let (_, after) = after.split_once("}}").ok_or(unclosed)?;
        return Ok((None, after));
    }
    let mut letters = text.chars().peekable();
    let mut tokens = Vec::new();
    let mut glued = false;
    loop {
        let first = letters.next().ok_or(unclosed)?;
        let next = letters.peek().copied();
        match (first, next) {
            ('}', Some('}')) => break,
            // Of the end, where it takes blanks away.
            ('-', Some('}')) => continue,
            (blank, _) if blank.is_whitespace() => {
                glued = false;
                continue;
            }
            ('.', Some(letter)) if is_name(letter) && !letter.is_ascii_digit() => {
                tokens.push(Token::Field(name(&mut letters), glued));
            }
            ('.', _) => tokens.push(Token::Dot),
            ('$', _) => tokens.push(Token::Variable(name(&mut letters))),
            ('"', _) => tokens.push(Token::Constant(quoted(&mut letters)?.into())),
            ('`', _) => tokens.push(Token::Constant(raw(&mut letters)?.into())),
            (':', Some('=')) => {
                letters.next();
                tokens.push(Token::Declare);
            }
            ('=', _) => tokens.push(Token::Assign),
            ('(' | ')' | '|' | ',', _) => tokens.push(Token::Sign(first)),
            (sign, _) if sign == '-' || sign.is_ascii_digit() => {
                tokens.push(Token::Constant(number(sign, &mut letters)?));
            }
            (letter, _) if is_name(letter) => {
                tokens.push(Token::Word(format!("{letter}{}", name(&mut letters))));
            }
            (other, _) => return Err(format!("template: {other:?} is not expected in an action")),
        }
        glued = true;
    }
    letters.next();
    let after: usize = letters.map(char::len_utf8).sum();
    Ok((Some(tokens), &text[text.len() - after..]))
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn name(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(letter) = letters.next_if(|letter| is_name(*letter)) {
        name.push(letter);
    }
    name
}

fn quoted(letters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Ok(text),
            '\\' => {
                match letters.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(sign @ ('"' | '\\')) => text.push(sign),
                    _ => return Err(
                        "template: of a text's \\, only \\n, \\t, \\r, \\\" and \\\\ are supported"
                            .into(),
                    ),
                }
            }
            letter => text.push(letter),
        }
    }
    Err("template: a text has no end: \" is missing".into())
}

fn raw(letters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::new();
    for letter in letters {
        match letter {
            '`' => return Ok(text),
            letter => text.push(letter),
        }
    }
    Err("template: a text has no end: ` is missing".into())
}

fn number(first: char, letters: &mut Peekable<Chars<'_>>) -> Result<Value, String> {
    let mut text = first.to_string();
    while let Some(letter) = letters.next_if(|letter| is_name(*letter) || *letter == '.') {
        text.push(letter);
    }
    let number: Option<Number> = text.parse().ok();
    number
        .map(Value::Number)
        .ok_or_else(|| format!("template: {text:?} is not a number"))
}
