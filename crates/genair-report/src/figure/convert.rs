//! One drawing as files that look alike everywhere: SVG with its letters as outlines, PDF with its
//! typeface embedded, PNG at 300 dots per inch.

use std::sync::Arc;

use krilla::geom::Size;
use krilla::page::PageSettings;
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, WriteOptions, fontdb};

use super::style::{FAMILY, MEDIUM, REGULAR};

/// Pixels of a PNG to a point: 300 dots per inch.
const PNG_SCALE: f32 = 300.0 / 72.0;

/// CSS pixels to a point, which is what usvg measures in.
const CSS_PIXELS: f32 = 96.0 / 72.0;

/// A drawing that is read, to be written in any format.
pub(super) struct Picture(Tree);

impl Picture {
    /// Reads an SVG whose text is in the program's own typeface.
    pub(super) fn read(svg: &str) -> Result<Self, String> {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(REGULAR.to_vec());
        fonts.load_font_data(MEDIUM.to_vec());
        let options = Options {
            font_family: FAMILY.to_owned(),
            fontdb: Arc::new(fonts),
            ..Options::default()
        };
        Tree::from_str(svg, &options)
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// SVG that needs no typeface; `title` and `description` are read out where pictures are not seen, and
    /// stand under it on a page ([`described`]).
    pub(super) fn svg(&self, title: &str, description: &str) -> String {
        let options = WriteOptions {
            coordinates_precision: 3,
            transforms_precision: 6,
            ..WriteOptions::default()
        };
        let text = self.0.to_string(&options);
        match text.split_once('>') {
            Some((head, rest)) => format!(
                "{head} role=\"img\">{}{}{rest}",
                element("title", title),
                element("desc", description)
            ),
            None => text,
        }
    }

    /// PDF of one page, the size of the figure.
    pub(super) fn pdf(&self) -> Result<Vec<u8>, String> {
        let size = self.0.size();
        let (width, height) = (size.width() / CSS_PIXELS, size.height() / CSS_PIXELS);
        let settings = PageSettings::from_wh(width, height).ok_or("a page without an area")?;
        let size = Size::from_wh(width, height).ok_or("a page without an area")?;
        let mut document = krilla::Document::new();
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        surface
            .draw_svg(&self.0, size, SvgSettings::default())
            .ok_or("the drawing cannot be put on a page")?;
        surface.finish();
        page.finish();
        document.finish().map_err(|error| format!("{error:?}"))
    }

    /// PNG on white.
    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        let scale = PNG_SCALE / CSS_PIXELS;
        let size = self.0.size();
        let side = |length: f32| (length * scale).round().max(1.0) as u32;
        let mut pixels = Pixmap::new(side(size.width()), side(size.height()))
            .ok_or("a picture without an area")?;
        pixels.fill(Color::WHITE);
        resvg::render(
            &self.0,
            Transform::from_scale(scale, scale),
            &mut pixels.as_mut(),
        );
        pixels.encode_png().map_err(|error| error.to_string())
    }
}

/// Entities of text in XML; the first is the last to be read back.
const ENTITIES: [(&str, &str); 3] = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")];

fn element(name: &str, text: &str) -> String {
    let escape = |text: String, (letter, entity): &(&str, &str)| text.replace(letter, entity);
    let text = ENTITIES.iter().fold(text.to_owned(), escape);
    format!("<{name}>{text}</{name}>")
}

/// Title and description that [`Picture::svg`] wrote at the beginning of a picture; none of another's.
pub(crate) fn described(svg: &str) -> Option<String> {
    let (_, rest) = svg.split_once(" role=\"img\"><title>")?;
    let (title, rest) = rest.split_once("</title>")?;
    let description = rest.strip_prefix("<desc>")?.split_once("</desc>")?.0;
    let read = |text: String, (letter, entity): &(&str, &str)| text.replace(entity, letter);
    let both = format!("{title} {description}");
    Some(ENTITIES.iter().rev().fold(both, read).trim().to_owned())
}
