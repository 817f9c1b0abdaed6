//! What the sources say: where atomic operations and fences stand, and which mistakes can be seeded.
//!
//! The sources are read token by token. That is enough to find a call, its last arguments and the function around it, in
//! macros too, and needs no grammar.

use crate::mutant::Order;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// An atomic operation or a fence in the sources.
#[derive(Debug, Clone)]
pub struct Site {
    /// From the crate's root on.
    pub file: String,
    pub line: usize,
    /// Counted from one, as `Location` does.
    pub column: usize,
    /// File, function and operation: what stays the same when lines move.
    pub name: String,
    pub operation: Operation,
    /// What stands there; `None` for what is computed.
    pub orders: Vec<Option<Order>>,
}

/// What kinds of orderings an operation can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Load,
    Store,
    ReadModifyWrite,
    /// Has a second ordering for its failure.
    Exchange,
    Fence,
}

impl Operation {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "load" => Operation::Load,
            "store" => Operation::Store,
            "compare_exchange" | "compare_exchange_weak" => Operation::Exchange,
            "swap" => Operation::ReadModifyWrite,
            name if name.starts_with("fetch_") => Operation::ReadModifyWrite,
            _ => return None,
        })
    }

    fn orders(self) -> usize {
        if self == Operation::Exchange { 2 } else { 1 }
    }
}

impl Site {
    /// Where `Location` says it is.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    /// A queue of crossbeam's or a lock of parking_lot's as the models see it: its orderings are theirs, and trusted.
    pub fn is_stand_in(&self) -> bool {
        STAND_INS.contains(&&*self.file)
    }
}

const STAND_INS: [&str; 2] = ["src/primitive/locks.rs", "src/primitive/standin.rs"];

/// All sites of the crate, by file and line.
pub fn sites(root: &Path) -> Vec<Site> {
    let mut files = Vec::new();
    rust_files(&root.join("src"), &mut files);
    files.sort();
    let mut sites = Vec::new();
    for path in files {
        let file = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        // What else the facade does is out of the models' sight: counters, and loom's own atomics.
        if file.starts_with("src/primitive/") && !STAND_INS.contains(&&*file) {
            continue;
        }
        let mut reader = Reader { file, within: Vec::new(), sites: Vec::new() };
        reader.read(tokens(&path));
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for mut site in reader.sites {
            let count = seen.entry(site.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                site.name = format!("{} #{count}", site.name);
            }
            sites.push(site);
        }
    }
    sites
}

/// The variants of `Flaw`.
pub fn flaws(root: &Path) -> Vec<String> {
    let trees: Vec<TokenTree> = tokens(&root.join("src/primitive/mod.rs")).into_iter().collect();
    let at = trees.windows(2).position(|pair| is(&pair[0], "enum") && is(&pair[1], "Flaw"));
    let Some(TokenTree::Group(body)) = at.and_then(|at| trees.get(at + 2)) else {
        panic!("src/primitive/mod.rs has no `enum Flaw`");
    };
    let variants = body.stream().into_iter().filter(|tree| matches!(tree, TokenTree::Ident(_)));
    variants.map(|variant| variant.to_string()).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn tokens(path: &Path) -> TokenStream {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn is(tree: &TokenTree, word: &str) -> bool {
    match tree {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Punct(punct) => word.starts_with(punct.as_char()) && word.len() == 1,
        _ => false,
    }
}

struct Reader {
    file: String,
    /// The `impl`s and functions around, outermost first.
    within: Vec<String>,
    sites: Vec<Site>,
}

impl Reader {
    fn read(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        // What the next braces belong to, if it has a name.
        let mut head: Option<String> = None;
        // Whether they belong to a seeded mistake, whose orderings are no one's concern.
        let mut mistaken = false;
        for (at, tree) in trees.iter().enumerate() {
            match tree {
                TokenTree::Ident(word) if *word == "fn" || *word == "trait" => {
                    head = trees.get(at + 1).map(ToString::to_string);
                }
                TokenTree::Ident(word) if *word == "impl" && head.is_none() => head = subject(&trees[at + 1..]),
                TokenTree::Ident(word) if *word == "seeded" => mistaken = at == 0 || !is(&trees[at - 1], "!"),
                TokenTree::Punct(punct) if punct.as_char() == ';' => (head, mistaken) = (None, false),
                TokenTree::Group(group) if mistaken && group.delimiter() == Delimiter::Brace => mistaken = false,
                TokenTree::Group(group) => {
                    self.note(&trees, at);
                    let named = if group.delimiter() == Delimiter::Brace { head.take() } else { None };
                    let depth = self.within.len();
                    self.within.extend(named);
                    self.read(group.stream());
                    self.within.truncate(depth);
                }
                _ => {}
            }
        }
    }

    /// Notes the call whose arguments are the group at `at`, if it is one that counts.
    fn note(&mut self, trees: &[TokenTree], at: usize) {
        let TokenTree::Group(group) = &trees[at] else { return };
        let Some(TokenTree::Ident(called)) = at.checked_sub(1).map(|before| &trees[before]) else { return };
        let before = at.checked_sub(2).map(|before| &trees[before]);
        if group.delimiter() != Delimiter::Parenthesis || before.is_some_and(|tree| is(tree, "fn")) {
            return;
        }
        let method = before.is_some_and(|tree| is(tree, "."));
        let operation = match (method, called.to_string().as_str()) {
            (false, "fence") => Operation::Fence,
            (true, name) => match Operation::named(name) {
                Some(operation) => operation,
                None => return,
            },
            _ => return,
        };
        let Some(orders) = orders(group.stream(), operation.orders()) else { return };
        let text = format!("{}{called}", if method { receiver(&trees[..at - 1]) } else { String::new() });
        let start = called.span().start();
        self.sites.push(Site {
            file: self.file.clone(),
            line: start.line,
            column: start.column + 1,
            name: format!("{} {} {text}", self.file, self.within.join("::")),
            operation,
            orders,
        });
    }
}

/// The type of an `impl`, from what follows the word.
fn subject(trees: &[TokenTree]) -> Option<String> {
    let mut depth = 0;
    let mut name = None;
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
            tree if is(tree, "<") => depth += 1,
            tree if is(tree, ">") => depth -= 1,
            _ if depth > 0 => {}
            tree if is(tree, "for") => name = None,
            tree if is(tree, "where") => break,
            TokenTree::Ident(word) => name = Some(word.to_string()),
            _ => {}
        }
    }
    name
}

/// The expression that a method is called on, as far back as it is one chain; `trees` ends with its last dot.
fn receiver(trees: &[TokenTree]) -> String {
    let chained = |tree: &&TokenTree| match tree {
        TokenTree::Ident(word) => {
            !["match", "if", "while", "return", "let", "in", "mut", "else"].iter().any(|key| word == key)
        }
        TokenTree::Punct(punct) => ['.', ':'].contains(&punct.as_char()),
        TokenTree::Group(group) => group.delimiter() != Delimiter::Brace,
        TokenTree::Literal(_) => true,
    };
    let chain: Vec<String> = trees.iter().rev().take_while(chained).map(ToString::to_string).collect();
    chain.into_iter().rev().collect()
}

/// The orderings that a call's arguments end with; none if they don't.
fn orders(arguments: TokenStream, count: usize) -> Option<Vec<Option<Order>>> {
    let mut arguments: Vec<Vec<TokenTree>> = arguments.into_iter().fold(vec![Vec::new()], |mut all, tree| {
        if is(&tree, ",") {
            all.push(Vec::new());
        } else if let Some(last) = all.last_mut() {
            last.push(tree);
        }
        all
    });
    if arguments.last().is_some_and(Vec::is_empty) {
        arguments.pop();
    }
    let last = arguments.len().checked_sub(count).map(|first| &arguments[first..])?;
    last.iter().map(|argument| order(argument)).collect()
}

/// `Some(None)` for one that is computed.
fn order(argument: &[TokenTree]) -> Option<Option<Order>> {
    let TokenTree::Ident(word) = argument.last()? else { return None };
    match word.to_string().as_str() {
        "order" | "publish" if argument.len() == 1 => Some(None),
        name => Order::named(name).map(Some),
    }
}
