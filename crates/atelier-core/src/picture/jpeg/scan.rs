//! The blocks of a frame, and the scans that bring their coefficients.

use super::{
    JpegError,
    entropy::{Bits, Fault, HuffmanTable},
};

/// The last coefficient of a block.
const LAST: u8 = 63;

/// One colour of a frame.
pub struct Component {
    id: u8,
    /// Blocks in a unit of all colours, horizontally and vertically.
    sampling: [usize; 2],
    /// Blocks of the picture, and, rounded up to whole units, those that are stored in a row.
    size: [usize; 2],
    stride: usize,
    /// For each block, which of its coefficients are not zero: progressive scans refine those. Empty for other frames.
    known: Vec<u64>,
    covered: bool,
}

impl Component {
    /// The component `id` with its sampling factors.
    pub fn new(id: u8, horizontal: u8, vertical: u8) -> Self {
        let sampling = [horizontal, vertical].map(usize::from);
        Self { id, sampling, size: [0; 2], stride: 0, known: Vec::new(), covered: false }
    }
}

/// The picture as its frame header describes it.
pub struct Frame {
    components: Vec<Component>,
    /// Units of all colours, horizontally and vertically.
    units: [usize; 2],
    is_progressive: bool,
}

impl Frame {
    /// A frame of `size`, `[width, height]` in pixels.
    pub fn new(
        size: [usize; 2],
        mut components: Vec<Component>,
        is_progressive: bool,
    ) -> Result<Self, JpegError> {
        if size.contains(&0) {
            return Err(JpegError::Header("its frame has no pixels"));
        }
        if components.iter().flat_map(|own| own.sampling).any(|factor| !(1..=4).contains(&factor)) {
            return Err(JpegError::Header("a sampling factor is not from 1 to 4"));
        }
        let most = |axis: usize| components.iter().map(|own| own.sampling[axis]).max().unwrap_or(1);
        let most = [most(0), most(1)];
        let units = [0, 1].map(|axis| size[axis].div_ceil(8 * most[axis]));
        for component in &mut components {
            let blocks =
                |axis: usize| (size[axis] * component.sampling[axis]).div_ceil(most[axis]).div_ceil(8);
            component.size = [blocks(0), blocks(1)];
            component.stride = units[0] * component.sampling[0];
            if is_progressive {
                component.known = vec![0; component.stride * units[1] * component.sampling[1]];
            }
        }
        Ok(Self { components, units, is_progressive })
    }

    /// Whether a scan was seen of every component.
    pub fn is_covered(&self) -> bool {
        self.components.iter().all(|component| component.covered)
    }
}

/// What a scan brings.
pub struct Scan {
    /// Component and its tables of DC and AC codes.
    parts: Vec<(usize, [usize; 2])>,
    /// First and last coefficient.
    band: [u8; 2],
    /// Whether it refines what earlier scans have brought.
    refines: bool,
    restart_interval: usize,
}

impl Scan {
    /// The scan with the header `segment`.
    pub fn parse(segment: &[u8], frame: &Frame, restart_interval: usize) -> Result<Self, JpegError> {
        let damaged = || JpegError::Header("a scan header is not whole");
        let (&count, rest) = segment.split_first().ok_or_else(damaged)?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(count)).ok_or_else(damaged)?;
        let [first, last, precision, ..] = *rest else { return Err(damaged()) };
        let part = |own: &[u8]| {
            let index = frame.components.iter().position(|component| component.id == own[0]);
            let index =
                index.ok_or(JpegError::Header("a scan is of a colour that the frame does not have"))?;
            Ok((index, [own[1] >> 4, own[1] & 15].map(usize::from)))
        };
        let parts = chosen.chunks_exact(2).map(part).collect::<Result<Vec<_>, JpegError>>()?;
        // Frames that are not progressive bring all coefficients at once, whatever their header says.
        let (band, refines) =
            if frame.is_progressive { ([first, last], precision >> 4 != 0) } else { ([0, LAST], false) };
        let is_mixed = frame.is_progressive && first == 0 && last != 0;
        if parts.is_empty() || band[0] > band[1] || band[1] > LAST || is_mixed {
            return Err(JpegError::Header("a scan header contradicts itself"));
        }
        if frame.is_progressive && first > 0 && parts.len() > 1 {
            return Err(JpegError::Header("a scan of details is of several colours"));
        }
        Ok(Self { parts, band, refines, restart_interval })
    }

    /// Follows all blocks of the scan through `data`; gives where the marker behind it is.
    pub fn follow(
        &self,
        frame: &mut Frame,
        tables: &[[Option<HuffmanTable>; 4]; 2],
        data: &[u8],
    ) -> Result<usize, Fault> {
        let mut blocks = Blocks { bits: Bits::new(data), tables, end_of_band_run: 0 };
        // A scan of one colour has the blocks of the picture alone, one of several whole units.
        let (units, single) = match self.parts[..] {
            [(index, _)] => (frame.components[index].size, true),
            _ => (frame.units, false),
        };
        let [columns, rows] = units;
        for unit in 0..columns * rows {
            if self.restart_interval > 0 && unit > 0 && unit.is_multiple_of(self.restart_interval) {
                blocks.bits.restart(unit / self.restart_interval - 1)?;
                blocks.end_of_band_run = 0;
            }
            let [column, row] = [unit % columns, unit / columns];
            for &(index, chosen) in &self.parts {
                let component = &mut frame.components[index];
                component.covered = true;
                let [across, down] = if single { [1, 1] } else { component.sampling };
                for block in 0..across * down {
                    let at =
                        (row * down + block / across) * component.stride + column * across + block % across;
                    let mut unknown = 0;
                    let known = component.known.get_mut(at).unwrap_or(&mut unknown);
                    blocks.follow(self, frame.is_progressive, chosen, known)?;
                }
            }
        }
        Ok(blocks.bits.end())
    }
}

/// Blocks, one after the other.
struct Blocks<'a> {
    bits: Bits<'a>,
    tables: &'a [[Option<HuffmanTable>; 4]; 2],
    /// How many blocks, with the next one, have no more coefficients in the band.
    end_of_band_run: u32,
}

impl<'a> Blocks<'a> {
    fn table(&self, class: usize, chosen: [usize; 2]) -> Result<&'a HuffmanTable, Fault> {
        self.tables[class].get(chosen[class]).and_then(Option::as_ref).ok_or(Fault::Codes)
    }

    /// Follows one block; `known` are its coefficients that are not zero.
    fn follow(
        &mut self,
        scan: &Scan,
        is_progressive: bool,
        chosen: [usize; 2],
        known: &mut u64,
    ) -> Result<(), Fault> {
        let [first, last] = scan.band;
        if first == 0 {
            if scan.refines {
                self.bits.take(1)?;
            } else {
                let size = self.bits.symbol(self.table(0, chosen)?)?;
                self.skip(size)?;
            }
        }
        match (last, scan.refines) {
            (0, _) => Ok(()),
            (_, false) => self.bring(self.table(1, chosen)?, first.max(1), last, is_progressive, known),
            (_, true) => self.refine(self.table(1, chosen)?, first, last, known),
        }
    }

    /// Coefficients that come for the first time.
    fn bring(
        &mut self,
        table: &HuffmanTable,
        first: u8,
        last: u8,
        is_progressive: bool,
        known: &mut u64,
    ) -> Result<(), Fault> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Ok(());
        }
        let mut next = first;
        while next <= last {
            let symbol = self.bits.symbol(table)?;
            let (run, size) = (symbol >> 4, symbol & 15);
            match (run, size) {
                (15, 0) => next += 16,
                (_, 0) => {
                    if is_progressive {
                        self.end_of_band_run = self.run(run)? - 1;
                    }
                    return Ok(());
                }
                _ => {
                    next += run;
                    if next > LAST {
                        return Err(Fault::Codes);
                    }
                    self.skip(size)?;
                    *known |= 1 << next;
                    next += 1;
                }
            }
        }
        Ok(())
    }

    /// One more bit of known coefficients, between them new ones.
    fn refine(&mut self, table: &HuffmanTable, first: u8, last: u8, known: &mut u64) -> Result<(), Fault> {
        let mut next = first;
        while self.end_of_band_run == 0 && next <= last {
            let symbol = self.bits.symbol(table)?;
            let (mut run, size) = (symbol >> 4, symbol & 15);
            match (run, size) {
                (15, 0) => {}
                (_, 0) => {
                    self.end_of_band_run = self.run(run)?;
                    break;
                }
                // Its sign.
                _ => self.skip(1)?,
            }
            while next <= last {
                if *known >> next & 1 == 1 {
                    self.skip(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                next += 1;
            }
            if size > 0 && next <= LAST {
                *known |= 1 << next;
            }
            next += 1;
        }
        if self.end_of_band_run > 0 {
            for coefficient in next..=last {
                if *known >> coefficient & 1 == 1 {
                    self.skip(1)?;
                }
            }
            self.end_of_band_run -= 1;
        }
        Ok(())
    }

    /// The length of a run of blocks: `exponent` bits follow its code.
    fn run(&mut self, exponent: u8) -> Result<u32, Fault> {
        Ok((1 << exponent) + self.bits.take(exponent)?)
    }

    fn skip(&mut self, bits: u8) -> Result<(), Fault> {
        if bits > 16 {
            return Err(Fault::Codes);
        }
        self.bits.take(bits).map(|_| ())
    }
}
