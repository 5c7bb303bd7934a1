//! What the grammar makes of searches.

use expect_test::expect;

use super::check;

#[test]
fn searching() {
    check(&expect![[r#"
        > a SEARCH ALL
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [All] })
        > a UID SEARCH unseen 1:5,* UID 7:*
        Search(Search { numbers: Uid, returns: None, charset: None, keys: [NotFlag(SystemFlags(1)), Sequence(SequenceSet([(Number(1), Number(5)), (Star, Star)])), Uid(SequenceSet([(Number(7), Star)]))] })
        > a SEARCH RETURN () CHARSET utf-8 TEXT {4}|éé
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: true, count: false, save: false, partial: None }), charset: Some("utf-8"), keys: [Text([195, 169, 195, 169])] })
        > a SEARCH RETURN (MIN MAX COUNT ALL) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: true, max: true, all: true, count: true, save: false, partial: None }), charset: None, keys: [All] })
        > a SEARCH RETURN (SAVE) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: false, count: false, save: true, partial: None }), charset: None, keys: [All] })
        > a SEARCH RETURN (SAVE MIN PARTIAL 10:1) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: true, max: false, all: false, count: false, save: true, partial: Some(Page { first: 10, last: 1, from_end: false }) }), charset: None, keys: [All] })
        > a SEARCH RETURN (partial -1:-100 COUNT) ALL
        Search(Search { numbers: Sequence, returns: Some(SearchReturn { min: false, max: false, all: false, count: true, save: false, partial: Some(Page { first: 1, last: 100, from_end: true }) }), charset: None, keys: [All] })
        > a SEARCH RETURN (PARTIAL 1:-100) ALL
        a BAD a range of PARTIAL counts from one end
        > a SEARCH RETURN (PARTIAL 0:1) ALL
        a BAD a number here is at least 1
        > a SEARCH RETURN (PARTIAL 1:*) ALL
        a BAD expected a range such as 1:100 or -1:-100 at byte 28
        > a SEARCH RETURN (PARTIAL) ALL
        a BAD expected a space and an argument at byte 25
        > a SEARCH RETURN (PARTIAL 1:2 ALL) ALL
        a BAD PARTIAL and ALL exclude each other
        > a SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL
        a BAD PARTIAL can be asked for once
        > a SEARCH RETURN (FOO) ALL
        a BAD unknown return option FOO
        > a SEARCH NOT (SEEN OR FROM a TO "b c") DRAFT
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Not(And([Flag(SystemFlags(1)), Or([Header("FROM", [97]), Header("TO", [98, 32, 99])])])), Flag(SystemFlags(16))] })
        > a SEARCH BCC a CC b SUBJECT c BODY d TEXT e HEADER X-Y ""
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Header("BCC", [97]), Header("CC", [98]), Header("SUBJECT", [99]), Body([100]), Text([101]), Header("X-Y", [])] })
        > a SEARCH ANSWERED DELETED FLAGGED RECENT NEW OLD UNANSWERED UNDELETED UNDRAFT UNFLAGGED
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Flag(SystemFlags(2)), Flag(SystemFlags(8)), Flag(SystemFlags(4)), Recent, New, Old, NotFlag(SystemFlags(2)), NotFlag(SystemFlags(8)), NotFlag(SystemFlags(16)), NotFlag(SystemFlags(4))] })
        > a SEARCH KEYWORD work UNKEYWORD $x
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Keyword("work"), NotKeyword("$x")] })
        > a SEARCH BEFORE 1-Feb-1970 ON "31-Dec-1969" SINCE 01-Jan-1970 SENTBEFORE 2-Jan-1970 SENTON 3-Jan-1970 SENTSINCE 4-Jan-1970
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Before(Internal, 31), On(Internal, -1), Since(Internal, 0), Before(Sent, 1), On(Sent, 2), Since(Sent, 3)] })
        > a SEARCH SAVEDBEFORE 2-Jan-1970 SAVEDON 3-Jan-1970 SAVEDSINCE 4-Jan-1970 SAVEDATESUPPORTED
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Before(Saved, 1), On(Saved, 2), Since(Saved, 3), SaveDateSupported] })
        > a SEARCH LARGER 10 SMALLER 9223372036854775807
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Larger(10), Smaller(9223372036854775807)] })
        > a SEARCH MODSEQ 620162338
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [ModSeq(620162338)] })
        > a SEARCH MODSEQ "/flags/\\draft" all 620162338 EMAILID M1 THREADID T1
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [ModSeq(620162338), EmailId("M1"), ThreadId("T1")] })
        > a SEARCH $
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Sequence(SequenceSet([(Saved, Saved)]))] })
        > a SEARCH UID $ NOT 1:3,$
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [Uid(SequenceSet([(Saved, Saved)])), Not(Sequence(SequenceSet([(Number(1), Number(3)), (Saved, Saved)])))] })
        > a SEARCH $,1
        a BAD expected the end of the line at byte 11
        > a SEARCH $:5
        a BAD expected the end of the line at byte 11
        > a SEARCH FOO
        a BAD unknown search key FOO
        > a SEARCH
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH NOT
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH OR SEEN
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH ()
        a BAD expected a search key at byte 11
        > a SEARCH (SEEN
        a BAD the command ends too early: expected a search key
        > a SEARCH ON 30-Feb-2000
        a BAD there is no such day
        > a SEARCH ON x
        a BAD expected a date at byte 13
        > a SEARCH LARGER 9223372036854775808
        a BAD a number here is less than 9223372036854775808
        > a SEARCH MODSEQ x
        a BAD expected a modseq at byte 17
        > a SEARCH SUBJECT é
        a BAD expected a text at byte 18
        > a SEARCH CHARSET x
        a BAD the command ends too early: expected a space and an argument
        > a SEARCH ALL 
        Search(Search { numbers: Sequence, returns: None, charset: None, keys: [All] })
    "#]]);
}
