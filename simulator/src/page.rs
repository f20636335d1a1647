//! The report as one self-contained page: every round as a cell in its winner's colour, latencies, the
//! lottery, and the numbers. No script, nothing fetched. Not here: what is measured (`report`).

use crate::{report::Report, run::Outcome};
use std::fmt::Write;

const COLOURS: [&str; 10] = [
    "#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5",
    "#9c6b4e", "#9498a0",
];
/// Cells in a row of the strip.
const CELLS_PER_ROW: usize = 100;
const CELL: usize = 8;
const BINS: usize = 40;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1e23;--soft:#667;--line:#d9dce1;--paper:#fff;--empty:#d33}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#9aa2ad;--line:#3a3f47;--paper:#16181c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:860px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.05rem;margin:2rem 0 .4rem}p{margin:.3rem 0;color:var(--soft)}
.bad{border-left:4px solid var(--empty);padding:.4rem .8rem;color:var(--ink)}.good{border-left:4px solid #3ca951;padding:.4rem .8rem;color:var(--ink)}
table{border-collapse:collapse;width:100%}td{padding:.2rem .6rem .2rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{color:var(--soft);white-space:nowrap}pre{overflow:auto;font-size:12px;line-height:1.4}
svg{display:block;max-width:100%;height:auto}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .9em;vertical-align:-1px}";

/// Draws it.
pub fn draw(outcome: &Outcome, commit: &str) -> String {
    let report = &outcome.report;
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>Simulation, seed {seed}</title><style>{STYLE}</style><h1>{name}, seed {seed}</h1><p>commit {commit}, journal {hash}</p>",
        seed = outcome.seed,
        name = escape(&report.scenario),
        commit = escape(commit),
        hash = outcome.hash,
    );
    match &outcome.violation {
        Some(found) => {
            let _ = write!(
                out,
                "<p class=bad><b>{}</b>: {}</p><pre>{}</pre>",
                found.checker,
                escape(&found.text),
                escape(&outcome.account.join("\n"))
            );
        }
        None => out.push_str("<p class=good>Every invariant held after every event.</p>"),
    }
    strip(&mut out, report);
    latencies(&mut out, report);
    lottery(&mut out, report);
    numbers(&mut out, report);
    out.push_str("</html>\n");
    out
}

/// Every L1 block in order, in the colour of the node whose rollup it made canonical.
fn strip(out: &mut String, report: &Report) {
    out.push_str("<h2>Rounds</h2><p>One cell for each L1 block: the colour is the aggregator whose rollup became canonical in it, a hollow one is a block without.");
    for node in 0..report.wins.len() {
        let _ = write!(out, "<span class=key style=\"background:{}\"></span>{node}", colour(node));
    }
    out.push_str("</p>");
    let rows = report.strip.len().div_ceil(CELLS_PER_ROW).max(1);
    let _ = write!(out, "<svg viewBox=\"0 0 {} {}\">", CELLS_PER_ROW * CELL, rows * CELL);
    for (place, winner) in report.strip.iter().enumerate() {
        let (x, y) = (place % CELLS_PER_ROW * CELL, place / CELLS_PER_ROW * CELL);
        let _ = match winner {
            Some(node) => {
                let size = CELL - 1;
                let fill = colour(*node);
                write!(out, "<rect x={x} y={y} width={size} height={size} fill=\"{fill}\"></rect>")
            }
            None => {
                let (x, y, size) = (x as f64 + 0.5, y as f64 + 0.5, CELL - 2);
                write!(
                    out,
                    "<rect x={x} y={y} width={size} height={size} style=\"fill:none;stroke:var(--ink)\"></rect>"
                )
            }
        };
    }
    out.push_str("</svg>");
}

fn latencies(out: &mut String, report: &Report) {
    let [half, ninety, most, all] = report.latency;
    let _ = write!(
        out,
        "<h2>Latency</h2><p>Seconds from a transaction's first sending to the L1 block with it: {half:.1} median, {ninety:.1} for 90 %, {most:.1} for 99 %, {all:.1} at most.</p>"
    );
    if report.latencies.is_empty() {
        return;
    }
    // The longest tenth of a percent would squeeze everything else.
    let top = (most.max(half * 2.0).max(1.0) * 1.2 / 40.0).ceil() * 40.0;
    let mut bins = [0_usize; BINS];
    for latency in &report.latencies {
        bins[((latency / top * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let highest = bins.iter().copied().max().unwrap_or(1).max(1);
    out.push_str("<svg viewBox=\"0 0 800 140\">");
    for (place, count) in bins.iter().enumerate() {
        let height = count * 110 / highest;
        let _ = write!(
            out,
            "<rect x={} y={} width=19 height={height} fill=\"{}\"><title>{count}</title></rect>",
            place * 20,
            115 - height,
            COLOURS[0]
        );
    }
    for tick in 0..4 {
        let seconds = top * f64::from(tick) / 4.0;
        let _ = write!(out, "<text x={} y=134>{seconds:.0} s</text>", tick * 200);
    }
    out.push_str("</svg>");
}

fn lottery(out: &mut String, report: &Report) {
    let verdict = if report.chi_square_p > 0.01 { "passes" } else { "fails" };
    let _ = write!(
        out,
        "<h2>Lottery</h2><p>Canonical rollups by aggregator; among the honest ones chi-square {:.2}, p = {:.4}: {verdict} at 1 %.</p>",
        report.chi_square, report.chi_square_p
    );
    let highest = report.wins.iter().copied().max().unwrap_or(1).max(1);
    let _ = write!(out, "<svg viewBox=\"0 0 800 {}\">", report.wins.len() * 20);
    for (node, won) in report.wins.iter().enumerate() {
        let _ = write!(
            out,
            "<text x=0 y={y}>{node}</text><rect x=24 y={top} width={width} height=14 fill=\"{fill}\"></rect><text x={after} y={y}>{won}{cheat}</text>",
            y = node * 20 + 13,
            top = node * 20 + 2,
            width = won * 640 / highest,
            fill = colour(node),
            cheat = report.cheats.get(&node).map(|kind| format!(", {kind}")).unwrap_or_default(),
            after = 32 + won * 640 / highest,
        );
    }
    out.push_str("</svg>");
}

fn numbers(out: &mut String, report: &Report) {
    out.push_str("<h2>Numbers</h2><table>");
    for line in report.text().lines() {
        let line = line.trim_start();
        let (name, value) = line.split_at(line.len().min(28));
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{}</td></tr>",
            escape(name.trim()),
            escape(value.trim())
        );
    }
    out.push_str("</table>");
}

fn colour(node: usize) -> &'static str {
    COLOURS[node % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
