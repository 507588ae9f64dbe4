//! The live page in a real browser.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tailwater_servers::{Browser, Screen};

use super::super::scene::{LIMIT, Setup};
use super::serve::address;

const DESK: Screen = Screen { width: 1360, height: 900, scale: 1, dark: false };
const PHONE: Screen = Screen { width: 390, height: 844, scale: 1, dark: true };

/// A name that would be markup where the page took it for more than text.
const HOSTILE: &str = "<img src=x onerror=alert(1)>";

/// A browser, or a loud word that nothing was tested.
fn browser() -> Option<Browser> {
    match Browser::start() {
        Ok(browser) => Some(browser),
        Err(error) => {
            eprintln!("NOT TESTED: the live page, because no Chromium can be had: {error:#}");
            None
        }
    }
}

/// Keeps a picture where `TAILWATER_PICTURES` names a folder.
fn keep(browser: &mut Browser, name: &str) -> Result<()> {
    let picture = browser.picture(2000)?;
    ensure!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "the picture {name} is empty");
    match std::env::var_os("TAILWATER_PICTURES") {
        Some(folder) => Ok(fs::write(Path::new(&folder).join(name), picture)?),
        None => Ok(()),
    }
}

#[test]
fn the_page_shows_what_happens_and_what_to_do() -> Result<()> {
    let Some(mut browser) = browser() else { return Ok(()) };
    let scene = Setup::new("http_page").rule("[!o]*", "no_key = \"park\"").start()?;
    scene.sql_all("CREATE TABLE orders (id INT PRIMARY KEY, n INT); INSERT INTO orders VALUES (1, 1), (2, 2)")?;
    scene.sql(0, &format!("CREATE TABLE `{HOSTILE}` (a INT); INSERT INTO `{HOSTILE}` VALUES (1)"))?;
    let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    scene.becomes_equal(&["orders"], &mut running)?;

    browser.open(&format!("http://{at}/"), DESK)?;
    browser.wait_for("document.querySelectorAll('#shard-rows tr').length === 2")?;
    browser.wait_for("document.querySelector('#shard-rows .word').textContent === 'flowing'")?;
    browser.wait_for("document.querySelector('#attention-list code') !== null")?;
    let text = |browser: &mut Browser, selector: &str| -> Result<String> {
        let found = browser.evaluate(&format!("document.querySelector({selector:?}).textContent"))?;
        Ok(found.as_str().context("no text")?.to_owned())
    };
    ensure!(text(&mut browser, "#attention-list .who")? == format!("s1:http_page.{HOSTILE} is parked"));
    let command = text(&mut browser, "#attention-list code")?;
    ensure!(command == format!("tailwater snapshot --table 'http_page.{HOSTILE}' --shard s1"), "{command}");
    ensure!(browser.evaluate("document.querySelectorAll('main img').length")? == 0, "a name became markup");
    ensure!(text(&mut browser, "#verdict-text")?.contains("1 table needs you"));
    browser.wait_for("document.querySelector('#shard-rows .line').getAttribute('d').length > 3")?;
    keep(&mut browser, "desk.png")?;

    // Searching hides what does not match, and finds it again.
    let search = |words: &str| {
        format!(
            "(() => {{ const s = document.getElementById('search'); s.value = {words:?}; s.dispatchEvent(new Event('input')); \
                 return document.querySelectorAll('#table-rows tr').length; }})()"
        )
    };
    ensure!(browser.evaluate(&search("ord"))? == 1 && browser.evaluate(&search("no such"))? == 0);
    ensure!(browser.evaluate(&search(""))? == 2);

    browser.open(&format!("http://{at}/"), PHONE)?;
    browser.wait_for("document.querySelectorAll('#shard-rows tr').length === 2")?;
    ensure!(browser.evaluate("document.documentElement.scrollWidth")? == 390, "the page is wider than a phone");
    let dark = "getComputedStyle(document.documentElement).backgroundColor";
    ensure!(browser.evaluate(dark)? == "rgb(15, 20, 26)", "it is not dark");
    keep(&mut browser, "phone.png")?;
    ensure!(browser.complaints().is_empty(), "{:?}", browser.complaints());

    running.terminate(LIMIT)?;
    browser.wait_for("document.getElementById('silence').hidden === false")?;
    ensure!(text(&mut browser, "#verdict-text")? == "No answer");
    Ok(())
}

#[test]
fn the_page_asks_for_the_token() -> Result<()> {
    let Some(mut browser) = browser() else { return Ok(()) };
    let scene = Setup::new("http_page_token").one_shard().lines("[http]\ntoken = \"sesame\"").start()?;
    let mut running = scene.start(&["extract", "--http", "127.0.0.1:0"])?;
    let at = address(&scene, &mut running)?;
    browser.open(&format!("http://{at}/"), DESK)?;
    browser.wait_for("document.getElementById('login').hidden === false")?;
    ensure!(browser.evaluate("document.getElementById('main').hidden")? == true);
    let enter = |token: &str| {
        format!(
            "document.getElementById('token').value = {token:?}; document.querySelector('#login button').click(); true"
        )
    };
    browser.evaluate(&enter("wrong"))?;
    browser.wait_for("document.getElementById('login-error').textContent !== ''")?;
    browser.evaluate(&enter("sesame"))?;
    browser.wait_for("document.querySelectorAll('#shard-rows tr').length === 1")?;
    ensure!(browser.evaluate("document.getElementById('login').hidden")? == true);
    running.terminate(LIMIT)
}
