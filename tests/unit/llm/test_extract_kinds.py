"""The rules tell decisions, numbers, open questions and actions, in English and German."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from combine_core.language import OTHER, language_named, lowered, plain_text
from combine_core.llm.extract import kinds
from combine_core.llm.extract.kinds import read_sentence
from combine_core.llm.extract.sentence import Kind, Section, Sentence, section_of, stands_alone
from combine_core.llm.extract.vocabulary import vocabulary_of
from combine_core.readers import Block, BlockKind

ENGLISH, GERMAN = language_named("en"), language_named("de")
UMLAUTS = set("äöüßÄÖÜ")
GERMAN_WORDS = {
    "der",
    "die",
    "das",
    "wir",
    "ist",
    "herr",
    "beschluss:",
    "es",
    "wer",
    "zu",
    "bitte",
    "vertrag",
    "im",
    "offen:",
}


def sentence_of(
    text, *, kind=BlockKind.LIST_ITEM, section=Section.OTHER, people=(), codes=(), **block
):
    german = UMLAUTS & set(text) or GERMAN_WORDS & set(text.lower().split())
    return Sentence(
        plain_text(text),
        Block(kind, 0, 0, **block),
        section,
        GERMAN if german else ENGLISH,
        first=True,
        last=True,
        people=frozenset(people),
        codes=frozenset(codes),
    )


def read(text, **more):
    return read_sentence(sentence_of(text, **more))


def kind_of(text, **more):
    sentence = sentence_of(text, **more)
    reading = read_sentence(sentence)
    return kinds.kind_of(sentence, reading) if reading else None


QUESTIONS = [
    "Who pays for the hosting?",
    "The owner is still unknown.",
    "It is unclear whether the pump holds.",
    "Open: which vendor delivers",
    "**Open question:** the colour of the door",
    "The date is to be determined.",
    "The decision on hosting is still open.",
    "Nobody knows where the key is.",
    "Wer zahlt das?",
    "Es ist noch nicht entschieden, wer zahlt.",
    "Offen: Farbe der Tür",
    "Der Termin ist noch offen.",
    "Soll der Raum reserviert werden?",
    "Zu klären ist die Haftung.",
]
NO_QUESTIONS = [
    "Rate limiting?",
    "Open the valve.",
    "The store is open to the public.",
    "See http://x.example/a?b=c for details.",
    "An open source licence applies.",
    "Six open issues.",
    "Question: should these work?",
    "Have you been to a meeting before?",
    "(With a new name for the header?)",
    "Beginn / Ende, Themen / Materialbedarf?",
    "If the next file is open, the pump shall skip it.",
]
DECISIONS = [
    "The decision was taken to hold the next meeting in April.",
    "A remote review was decided against by the board.",
    "We have made the decision to use one database.",
    "There was agreement that the project needs a licence.",
    "Der Kassenprüfer beantragt die Entlastung des Vorstands: (7/0/0)",
    "Alle drei Kassenprüfer wurden gewählt.",
    "Proposed changes to PEP 649 accepted.",
    "Postponed the choice of a valve until May.",
    "We agreed to use PostgreSQL.",
    "We agreed not to rent a second lorry.",
    "The board approved the plan.",
    "Decision: we keep the old rack.",
    "Decision to defer PEPs 2026 and 661 to next steering council",
    "The second bid was rejected.",
    "The motion carried.",
    "Ann moved to accept the report, Ben seconded it, and it was passed.",
    "The chair declared the motion PASSED unanimously.",
    "The CPC decided against this, as changes need an approval.",
    "General agreement that the charter gets a better template",
    "We go with the blue one.",
    "The Steering Council unanimously accepts the community vote to promote Matt Page",
    "The proposal advanced to Stage 1",
    "The review was moved to the next meeting.",
    "The motion to buy a pump carried.",
    "The plan of Ann was bold, and Ben was elected.",
    "We'll go ahead with option B",
    "Agreement reached on the pump",
    "#agreed We buy the blue pump",
    "Intent to adopt: Unanimous consent.",
    "Agreement to hold a meeting in May unless the pump is repaired by 12 May.",
    "Two names are in use - agreed to keep the first of them",
    "The budget of the fair [deferred]",
    "350 € für die Pumpe [vertagt]",
    "Die Frist wird auf Ende Mai verschoben",
    "Wir einigen uns auf die blaue Pumpe",
    "Wir nehmen den Antrag einstimmig an",
    "Die Versammlung stimmt dem Haushalt 2024 zu.",
    "Der Vorstand hat den Plan beschlossen.",
    "Beschluss: Wir nehmen das Angebot an.",
    "Dieser Punkt wurde auf die nächste Versammlung am 28. April verschoben.",
    "Der Vorstand wurde für das Jahr 2025 entlastet.",
    "Es wurde vereinbart, dass Bosch liefert.",
    "Der Antrag wird von der Mitgliederversammlung bei Enthaltung des Vorstandes angenommen.",
]
NO_DECISIONS = [
    "...or is only one plan accepted.",
    "Status; Accepted",
    "We proposed that it be accepted.",
    "The changes were not accepted.",
    "Nothing has been decided yet, the matter is not decided.",
    "The budget has not been approved.",
    "Nobody agreed on the date.",
    "The motion could not be adopted.",
    "Ben asked whether the lease was approved.",
    "Ben said that the board approved the lease.",
    "Who approved this?",
    "No decision was taken.",
    "No major decisions were made.",
    "The plan must be approved.",
    "If we agreed to move, it would cost more.",
    "We may have agreed to move.",
    "There was a discussion for the spin bit, and we adopted that.",
    "We agreed with the speaker.",
    "The plan that the board approved is on the wall.",
    "They wrote “we agreed to move” on the wall.",
    "The house is old.",
    "Ann moved to accept the report.",
    "Tabled for now, it will come back.",
    "Tabled from the May meeting due to time constraints",
    "Consensus on numbers or no numbers",
    "A decision should be made for each app whether it moves.",
    "Deferred work: how to handle changes of the list",
    "The group have agreed that the plan should",
    "Es ist noch nicht entschieden.",
    "Der Antrag wird nicht angenommen.",
]
ACTIONS = [
    "TODO: write the tests",
    "Dr. Olsen will send the draft.",
    "Anna will send the draft by Friday.",
    "We must renew the certificate.",
    "Please call the supplier.",
    "Action: order the parts",
    "Action (Tom): order the parts",
    "AI: Tom to order the parts",
    "@tom to order the parts",
    "Send the report to Anna by 3 May.",
    "Need to open a poll for dates",
    "Mentorship survey responses to be checked",
    "Vertrag bis Freitag prüfen",
    "#action tom to buy the pump",
    "Die Umfrage muss ausgewertet werden",
    "Herr Maier muss das Angebot einholen.",
    "Bitte die Rechnung schicken",
]
NO_ACTIONS = [
    "Test results are fine.",
    "The valve was opened.",
    "`GET /health` returns the state",
    "Report: all green",
    "Slow responses",
    "Users will see a message.",
    "Needs to be an agreement between client and server.",
    "Welcome to the meeting.",
    "Import maps and the loader #544",
    "Please notify the office of the help that you need by calling it.",
]
NUMBERS = [
    "The budget is 3.5 million EUR.",
    "It costs $5k now.",
    "A fee of 2,5 % applies.",
    "The limit is 5GB of memory.",
    "It took five days.",
    "It serves 20-30 users.",
    "7 clients, 11 servers.",
    "Cost expected to be lower than runners ($500/week)",
    "Es gibt vier Monate Garantie.",
]
NO_NUMBERS = [
    "See S1 and v1.2.3 there.",
    "Open http://localhost:8000/2 now.",
    "Run `sleep 30` first.",
    "An N+1 query is slow.",
    "The address is 9f3a.",
    "One of them is right.",
    "Start at 14:30 sharp.",
    "We use PostgreSQL 16.",
    "The call returns 503.",
    "See issue 57 and PR #3120 there.",
    "The Act of 1998 applies.",
    "Am 3. Mai wird geliefert.",
    "We retire the 10.15 machines.",
    "USB-Stick mit Miriam von der 3D-Modellierung",
    "Figure 2-2 shows the interfaces.",
    "Table 3-4.1 lists the constraints.",
    "The improvements of 15L include queue lanes.",
    "Users saw 404 errors in the hall.",
]


@pytest.mark.parametrize("text", QUESTIONS)
def test_open_questions(text):
    assert kind_of(text) is Kind.QUESTION


@pytest.mark.parametrize("text", NO_QUESTIONS)
def test_no_open_questions(text):
    assert kind_of(text) is not Kind.QUESTION


@pytest.mark.parametrize("text", DECISIONS)
def test_decisions(text):
    assert kind_of(text) is Kind.DECISION


@pytest.mark.parametrize("text", NO_DECISIONS)
def test_no_decisions(text):
    assert kind_of(text) is not Kind.DECISION


@pytest.mark.parametrize("text", ACTIONS)
def test_actions(text):
    assert kind_of(text) is Kind.ACTION


@pytest.mark.parametrize("text", NO_ACTIONS)
def test_no_actions(text):
    assert kind_of(text) is not Kind.ACTION


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers(text):
    assert kind_of(text) is Kind.NUMBER


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text):
    assert kind_of(text) is not Kind.NUMBER


@pytest.mark.parametrize(
    ("text", "owner", "due"),
    [
        ("Tom to order the parts by 3 May", "Tom", "3 May"),
        ("Tom and Anna will order the parts", "Tom and Anna", ""),
        ("Action item: ehuss will follow up with Josh", "ehuss", ""),
        ("Action (Tom): order the parts, due Friday", "Tom", "Friday"),
        ("Order the parts @tom-b until 2026-05-03", "@tom-b", "2026-05-03"),
        ("Order the parts next week", "", "next week"),
        ("Order the parts, 3 May", "", "3 May"),
    ],
)
def test_owner_and_due_date_of_an_action(text, owner, due):
    reading = read(text, section=Section.ACTION)
    assert (reading.kind, reading.owner, reading.due) == (Kind.ACTION, owner, due)


def test_the_speaker_of_a_message_under_actions_is_the_owner():
    reading = read("runbook, 3 May", kind=BlockKind.MESSAGE, speaker="Tom", done=False)
    assert (reading.kind, reading.owner, reading.due) == (Kind.ACTION, "Tom", "3 May")


def test_finished_tasks_are_no_actions():
    assert kind_of("Rotate the keys", section=Section.ACTION, done=True) is not None
    assert kind_of("Call the vendor by Friday", done=True) is not Kind.ACTION


@pytest.mark.parametrize(
    ("text", "section", "kind"),
    [
        ("Option B for storage", Section.DECISION, Kind.DECISION),
        ("No meeting in August", Section.DECISION, Kind.DECISION),
        ("Tom said the oven runs at 180 °C.", Section.DECISION, Kind.NUMBER),
        ("None", Section.DECISION, None),
        ("Should we move?", Section.DECISION, Kind.QUESTION),
        ("the owner of the lighting", Section.QUESTION, Kind.QUESTION),
        ("Review open issues and return", Section.OUTCOME, Kind.ACTION),
        ("The list will be settled later", Section.OUTCOME, Kind.STATEMENT),
        ("Anna Weber, chair", Section.SILENT, None),
    ],
)
def test_the_section_counts(text, section, kind):
    assert kind_of(text, section=section) is kind


@pytest.mark.parametrize(
    ("headings", "section"),
    [
        (("Board", "Decisions"), Section.DECISION),
        (("Action items", "Storage"), Section.ACTION),
        (("3. Open Questions",), Section.QUESTION),
        (("Agenda", "Storage"), Section.OTHER),
        (("Attendees",), Section.SILENT),
        (("1. Call to order",), Section.SILENT),
        (("Speaker's Summary of Key Points",), Section.SUMMARY),
        (("Decision theory",), Section.OTHER),
        (("Plans for the coming week",), Section.ACTION),
        (("Corrective actions",), Section.ACTION),
        (("Attendees", "Council members"), Section.SILENT),
        (("Time", "UTC Thu, Jul 02"), Section.SILENT),
    ],
)
def test_sections_of_english_titles(headings, section):
    assert section_of(headings, ENGLISH) is section


def test_sections_of_german_titles():
    assert section_of(("TOP 4. Beschlüsse",), GERMAN) is Section.DECISION
    assert section_of(("Nächste Schritte",), GERMAN) is Section.ACTION
    assert section_of(("TOP 1. Begrüßung und Tagesordnung",), GERMAN) is Section.SILENT
    assert section_of(("TOP 2. Feststellen der Beschlussfähigkeit",), GERMAN) is Section.SILENT


def test_an_option_is_no_action():
    def numbered(heading):
        return kind_of(
            "Add another pump.", kind=BlockKind.LIST_ITEM, number="2", headings=(heading,)
        )

    assert numbered("Steps") is Kind.ACTION
    assert numbered("Proposed resolutions") is Kind.STATEMENT
    options = {"section": Section.DECISION, "headings": ("We discussed three options",)}
    assert kind_of("keep the databases separate", **options) is not Kind.DECISION


def test_a_discussion_holds_no_open_question_and_few_decisions():
    spoken = {"kind": BlockKind.MESSAGE, "speaker": "Anna"}
    assert kind_of("Who pays for the hosting?", **spoken) is None
    assert kind_of("We agreed to use PostgreSQL.", **spoken) is Kind.DECISION
    assert kind_of("I think we agreed to use PostgreSQL.", **spoken) is not Kind.DECISION
    assert kind_of("We have five minutes left.", **spoken) is not Kind.NUMBER


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("The river rises.", True),
        ("It rises.", False),
        ("However, the river rises.", False),
        ("“The river rises.", False),
        ("“Dry run” is what the crew calls it.", True),
        ("It is recommended to close the gate.", True),
        ("If not, the river floods the hall.", False),
        ("If that fails, the river floods the hall.", False),
        ("See also the plan of the hall.", False),
        ("Run the following command in all pods.", False),
        ("Getting started with the documents: https://example.org/a", False),
        ("Further discussion at https://example.org/a.", False),
        ("https://example.org/a holds two blocks of code.", False),
        ("Michael Guzman, District C", False),
        ("Stephen Day <stephen.day@example.com> (@stevvooe)", False),
        ("Executive Directors Written Report", False),
        ("Matt Page Is Chair", False),
        ("Matt Page is Chair", True),
        ("Subpath extension patterns and wildcard expansions #535", False),
        ("Any objections to closing the gate? No objections", True),
    ],
)
def test_sentences_that_stand_alone(text, alone):
    block = Block(BlockKind.PARAGRAPH, 0, 0)
    sentence = Sentence(text, block, Section.OTHER, ENGLISH, first=True, last=True)
    assert stands_alone(sentence) is alone


@given(st.text(max_size=300), st.sampled_from(list(BlockKind)), st.sampled_from(list(Section)))
def test_any_text_is_read(text, kind, section):
    for language in (ENGLISH, GERMAN, OTHER):
        read_sentence(Sentence(text, Block(kind, 0, 0), section, language, first=True, last=True))


def test_a_figure_that_names_something_or_is_an_example_is_no_number():
    codes = {"codes": frozenset({"8037"})}
    assert kind_of("The latest 8037 tests run.", **codes) is Kind.STATEMENT
    assert kind_of("The latest 8037 tests run.") is Kind.NUMBER
    assert kind_of("The rule 7778 introduces new fees.") is Kind.STATEMENT
    assert kind_of("The COVID-19 figures are known.") is Kind.STATEMENT
    assert kind_of("For example, a door costs 900 EUR.") is Kind.STATEMENT


def test_the_time_that_a_meeting_takes_is_no_number():
    assert kind_of("It has 20 minutes left.", kind=BlockKind.CUE, speaker="Ann") is Kind.STATEMENT
    assert kind_of("The test takes 20 minutes.", kind=BlockKind.PARAGRAPH) is Kind.NUMBER
    assert kind_of("5+10 min - Discussion of the draft") is None


def test_a_row_that_explains_a_need_is_no_action():
    need = "Need to restart the server after errors"
    assert kind_of(need, kind=BlockKind.TABLE_ROW) is Kind.STATEMENT
    assert kind_of(need) is Kind.ACTION
    assert kind_of("I can add that to issue 75 (TODO)", kind=BlockKind.MESSAGE) is Kind.ACTION


@pytest.mark.parametrize(
    "text",
    [
        "Scribes: Ann and Ben",
        "Slides: https://example.org/x is here",
        "Rodenbach-Udert, der 20. Juni 2020",
        "Ransbach, am 05. Dezember 2019",
        "5 min total",
        "Expected time: 3 minutes.",
        "Ben thanked Ann Lee for the report.",
        "Director Sisk asked if the study had cost $2.2 million.",
        "First results of the test (Frank, Daniel, 10 minutes)",
        "The chair called the meeting to order at 4:30 p.m.",
        "Ann Lee adjourned the meeting at 4:49 p.m.",
        "Vice Chair: Ann Lee is there",
        "The meeting was held at the house of Ann in Ulm.",
        "Die Versammlung wurde um 14:13 Uhr geschlossen.",
        "Die Leitung stellte fest, dass die Versammlung beschlussfähig ist.",
    ],
)
def test_a_label_of_what_is_no_content(text):
    assert kind_of(text) is None


@pytest.mark.parametrize(
    "text", ["Tabled for the next meeting", "Both of those parts achieved consensus."]
)
def test_further_decisions(text):
    assert kind_of(text) is Kind.DECISION


def test_small_counts_and_scraps_of_a_talk_are_no_numbers():
    spoken = {"kind": BlockKind.MESSAGE, "speaker": "Ann"}
    assert kind_of("The draft can be split into 2 parts then.", **spoken) is Kind.STATEMENT
    assert kind_of("Only 3 issues.", **spoken) is Kind.STATEMENT
    assert kind_of("The draft has 12 issues left.", **spoken) is Kind.NUMBER
    assert kind_of("The repair of the pump takes six weeks.", **spoken) is Kind.STATEMENT
    assert kind_of("The draft can be split into 2 parts then.") is Kind.NUMBER


@pytest.mark.parametrize("language", [ENGLISH, GERMAN], ids=lambda language: language.code)
@pytest.mark.parametrize("name", ["decides", "opens_decision", "outcome", "open"])
@given(data=st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_decided_or_open_without_a_sign(language, name, data):
    words = vocabulary_of(language)
    text = lowered(data.draw(st.from_regex(getattr(words, name))))
    found = getattr(words, name).search(text)
    assert found is None or any(sign in found[0] for sign in words.signs)


def test_below_a_title_only_the_first_sentence_of_an_entry_counts():
    def later(text, section):
        sentence = sentence_of(text)
        return read_sentence(
            Sentence(text, sentence.block, section, ENGLISH, first=False, last=True)
        ).kind

    assert later("The result should be better.", Section.ACTION) is Kind.STATEMENT
    assert later("Add a link to the page.", Section.ACTION) is Kind.ACTION
    assert later("The vendor has two offices.", Section.QUESTION) is Kind.STATEMENT
    assert later("Who pays for the pump then?", Section.QUESTION) is Kind.QUESTION


def test_a_row_of_figures_without_names_is_no_number():
    assert (
        kind_of("0,00 € -88,16 € Sonstiges -88,16 €", kind=BlockKind.PARAGRAPH) is not Kind.NUMBER
    )
    assert kind_of("Miete -4.365,60 €", kind=BlockKind.PARAGRAPH) is Kind.NUMBER


def test_a_question_in_numbered_instructions_is_not_open():
    assert kind_of("Do you see many slow requests?", number="2") is None
    assert kind_of("Do we see many slow requests?") is Kind.QUESTION


def test_a_verb_at_the_beginning_is_no_owner():
    reading = read("Refer to the metrics of the project", section=Section.ACTION)
    assert (reading.kind, reading.owner) == (Kind.ACTION, "")
