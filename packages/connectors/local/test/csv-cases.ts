/**
 * CSV files and their verdicts, by RFC 4180 read strictly: the bytes (each character is one byte, but for those of `utf8`), the records that are read (cells between bars, `~` for an empty cell that
 * is not quoted, `^` for an empty text), and the places that are put aside. `header`: the whole file is refused, at that place.
 */
export interface CsvCase {
  readonly text: string
  readonly utf8?: true
  readonly rows?: readonly string[]
  readonly faults?: readonly string[]
  readonly header?: string
}
const good = (text: string, ...rows: readonly string[]): CsvCase => ({ text, rows })
const unicode = (text: string, ...rows: readonly string[]): CsvCase => ({ text, rows, utf8: true })
const bad = (text: string, faults: readonly string[], ...rows: readonly string[]): CsvCase => ({ text, rows, faults })
const refused = (text: string, header: string): CsvCase => ({ text, header })

const wrongCount = (cells: number) => `${cells} cells where the header has 2`
const stray = 'a quote inside a cell that is not quoted'
const after = 'text after the closing quote'
const open = 'a quote that is never closed'
const bare = 'a carriage return without a line feed'
const utf8 = 'not UTF-8'
const nul = 'the character NUL'

export const csvCases: readonly CsvCase[] = [
  // Ends of lines.
  good('a,b\n1,2\n', '1|2'),
  good('a,b\n1,2', '1|2'),
  good('a,b\r\n1,2\r\n', '1|2'),
  good('a,b\r\n1,2', '1|2'),
  good('a,b\n1,2\r\n3,4\n', '1|2', '3|4'),
  good('a,b\r\n"1","2"\r\n', '1|2'),
  good('a,b\n"1","2"', '1|2'),
  good('a,b\n'),
  good('a,b'),
  good('a,b\r\n'),
  bad('a,b\n1,2\n\n', [`3:1 ${wrongCount(1)}`], '1|2'),
  bad('a,b\n\n1,2\n', [`2:1 ${wrongCount(1)}`], '1|2'),
  bad('a,b\r\n\r\n1,2\r\n', [`2:2 ${wrongCount(1)}`], '1|2'),
  good('a\n\n', '~'),
  good('a\n\n\n', '~', '~'),
  bad('a,b\n1,2\r3,4\n', [`2:5 ${bare}`]),
  bad('a,b\n1\r,2\n', [`2:3 ${bare}`]),
  bad('a,b\n1,2\r', [`2:5 ${bare}`]),
  bad('a,b\n1,2\r\r\n3,4\n', [`2:5 ${bare}`], '3|4'),
  bad('a,b\n"1","2"\r3\n5,6\n', [`2:9 ${bare}`], '5|6'),
  refused('a,b\r1,2\r', '1:5 ' + bare),
  // Cells without quotes.
  good('a,b\n,\n', '~|~'),
  good('a,b\n1,\n', '1|~'),
  good('a,b\n,2\n', '~|2'),
  good('a,b\n ,  \n', ' |  '),
  good('a,b\n 1 , 2 \n', ' 1 | 2 '),
  good('a,b\n\t1,2\t\n', '\t1|2\t'),
  good("a,b\n'1','2'\n", "'1'|'2'"),
  good('a,b\n1;2,3\n', '1;2|3'),
  good('a,b\n#1,2\n', '#1|2'),
  good('a,b\n\\,\\n\n', '\\|\\n'),
  good('a,b\n007,1e5\n', '007|1e5'),
  good('a,b\nNULL,null\n', 'NULL|null'),
  good('a,b\nNA,NaN\n', 'NA|NaN'),
  good('a,b\ntrue,FALSE\n', 'true|FALSE'),
  good('a,b\n-,+\n', '-|+'),
  good('a,b\n=1+1,@x\n', '=1+1|@x'),
  good('a,b\n1.,.5\n', '1.|.5'),
  good('a,b\n\x01,\x7f\n', '\x01|\x7f'),
  good('a,b\n\x0b,\x0c\n', '\x0b|\x0c'),
  // Quoted cells.
  good('a,b\n"",""\n', '^|^'),
  good('a,b\n"",\n', '^|~'),
  good('a,b\n,""\n', '~|^'),
  good('a,b\n"",""', '^|^'),
  good('a,b\n"1,2",3\n', '1,2|3'),
  good('a,b\n"1\n2",3\n', '1\n2|3'),
  good('a,b\n"1\r\n2",3\n', '1\r\n2|3'),
  good('a,b\n"1\r2",3\n', '1\r2|3'),
  good('a,b\n"\n",3\n', '\n|3'),
  good('a,b\n"\n\n\n",3\n4,5\n', '\n\n\n|3', '4|5'),
  good('a,b\n"""",3\n', '"|3'),
  good('a,b\n"""""",3\n', '""|3'),
  good('a,b\n"1""2",3\n', '1"2|3'),
  good('a,b\n"""1""",3\n', '"1"|3'),
  good('a,b\n""",""",3\n', '","|3'),
  good('a,b\n"1","2""\n3"\n', '1|2"\n3'),
  good('a,b\n" ",3\n', ' |3'),
  good('a,b\n"\\",3\n', '\\|3'),
  good('a,b\n",",","\n', ',|,'),
  good('a,b\n1,"\r\n"\r\n', '1|\r\n'),
  good('a,b\n"{""x"":[1,2]}",3\n', '{"x":[1,2]}|3'),
  // Quotes where none may be.
  bad('a,b\n1"2,3\n4,5\n', [`2:2 ${stray}`], '4|5'),
  bad('a,b\n1",3\n4,5\n', [`2:2 ${stray}`], '4|5'),
  bad('a,b\n1,2"\n4,5\n', [`2:4 ${stray}`], '4|5'),
  bad('a,b\n "1",2\n4,5\n', [`2:2 ${stray}`], '4|5'),
  bad('a,b\n1, "2"\n4,5\n', [`2:4 ${stray}`], '4|5'),
  bad('a,b\n1""2,3\n4,5\n', [`2:2 ${stray}`], '4|5'),
  bad('a,b\n"1"2,3\n4,5\n', [`2:4 ${after}`], '4|5'),
  bad('a,b\n"1" ,3\n4,5\n', [`2:4 ${after}`], '4|5'),
  bad('a,b\n1,"2" \n4,5\n', [`2:6 ${after}`], '4|5'),
  bad('a,b\n"1"x"2",3\n4,5\n', [`2:4 ${after}`], '4|5'),
  bad('a,b\n"1\\"2",3\n4,5\n', [`2:5 ${after}`], '4|5'),
  bad('a,b\n"1\n2"x,3\n4,5\n', [`3:3 ${after}`], '4|5'),
  bad('a,b\n"1"\t,3\n4,5\n', [`2:4 ${after}`], '4|5'),
  bad('a,b\n"""1"",2\n4,5\n', [`2:1 ${open}`]),
  bad('a,b\n"1,2\n4,5\n', [`2:1 ${open}`]),
  bad('a,b\n1,"2\n4,5\n', [`2:3 ${open}`]),
  bad('a,b\n1,2\n3,"4', [`3:3 ${open}`], '1|2'),
  bad('a,b\n1,"', [`2:3 ${open}`]),
  bad('a,b\n1,"""', [`2:3 ${open}`]),
  bad('a,b\n1,"2""', [`2:3 ${open}`]),
  bad('a,b\n1,2"', [`2:4 ${stray}`]),
  bad('a,b\n1"2,3\n"4"5,6\n7,8\n', [`2:2 ${stray}`, `3:4 ${after}`], '7|8'),
  // Numbers of cells.
  bad('a,b\n1\n3,4\n', [`2:2 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n1,2,3\n3,4\n', [`2:6 ${wrongCount(3)}`], '3|4'),
  bad('a,b\n1,2,\n3,4\n', [`2:5 ${wrongCount(3)}`], '3|4'),
  bad('a,b\n,,\n3,4\n', [`2:3 ${wrongCount(3)}`], '3|4'),
  bad('a,b\n1,2\n3', [`3:2 ${wrongCount(1)}`], '1|2'),
  bad('a,b\n"1,2"\n3,4\n', [`2:6 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n"1\n2"\n3,4\n', [`3:3 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n1;2\n3,4\n', [`2:4 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n1\t2\n3,4\n', [`2:4 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n# a remark\n3,4\n', [`2:11 ${wrongCount(1)}`], '3|4'),
  bad('a,b\n1\n2\n3,4\n5,6,7\n', [`2:2 ${wrongCount(1)}`, `3:2 ${wrongCount(1)}`, `5:6 ${wrongCount(3)}`], '3|4'),
  // Encodings.
  unicode('a,b\né,ü\n', 'é|ü'),
  unicode('a,b\n😀,\u{10ffff}\n', '😀|\u{10ffff}'),
  unicode('a,b\n"é""😀",\u2028\n', 'é"😀|\u2028'),
  unicode('\ufeffa,b\n1,2\n', '1|2'),
  unicode('a,b\n\ufeff1,2\n', '\ufeff1|2'),
  unicode('a,b\n\ufffd,e\u0301\n', '\ufffd|e\u0301'),
  bad('a,b\n\xff,2\n3,4\n', [`2:1 ${utf8}`], '3|4'),
  bad('a,b\n1,\xc3\n3,4\n', [`2:3 ${utf8}`], '3|4'),
  bad('a,b\n1,\xc3\xa9\xc3\n3,4\n', [`2:4 ${utf8}`], '3|4'),
  bad('a,b\n\xe9t\xe9,2\n3,4\n', [`2:1 ${utf8}`], '3|4'),
  bad('a,b\n\xc0\x80,2\n3,4\n', [`2:1 ${utf8}`], '3|4'),
  bad('a,b\n\xed\xa0\x80,2\n3,4\n', [`2:1 ${utf8}`], '3|4'),
  bad('a,b\n\xf4\x90\x80\x80,2\n3,4\n', [`2:1 ${utf8}`], '3|4'),
  bad('a,b\n1,\x80\n3,4\n', [`2:3 ${utf8}`], '3|4'),
  bad('a,b\n"1\n\xff",2\n3,4\n', [`3:1 ${utf8}`], '3|4'),
  bad('a,b\n1,2\n3,\xff', [`3:3 ${utf8}`], '1|2'),
  bad('a,b\n1\x00,2\n3,4\n', [`2 ${nul}`], '3|4'),
  bad('a,b\n"\x00",2\n3,4\n', [`2 ${nul}`], '3|4'),
  bad('a,b\n1,2\n3,\x00', [`3 ${nul}`], '1|2'),
  // Headers.
  refused('', '1:1 there is no header line'),
  refused('a,,b\n', '1:1 column 2 has no name'),
  refused(',a\n', '1:1 column 1 has no name'),
  refused('a,\n', '1:1 column 2 has no name'),
  refused('\n', '1:1 column 1 has no name'),
  refused('a,a\n1,2\n', '1:1 two columns have the same name'),
  refused('a,"a"\n1,2\n', '1:1 two columns have the same name'),
  refused('a"b,c\n', '1:2 ' + stray),
  refused('"a"b,c\n', '1:4 ' + after),
  refused('"a,b\n1,2\n', '1:1 ' + open),
  refused('a,\xff\n1,2\n', '1:3 ' + utf8),
  { text: '"a","b"\n1,2\n', rows: ['1|2'] },
  { text: 'a, b\n1,2\n', rows: ['1|2'] },
]
