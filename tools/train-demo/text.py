"""English sentences for the demonstration model: a weighted grammar over our own lexicon, and runs of random words.

Everything is a function of a `random.Random`, so that a seed decides the text.
"""

import collections
import dataclasses
import pathlib
import random
import re
import subprocess

HERE = pathlib.Path(__file__).parent
SENTENCE_CHARACTERS_MAX = 110
DICTIONARY_WORDS = 14_000

ONES = 'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split()
TENS = 'twenty thirty forty fifty sixty seventy eighty ninety'.split()
ORDINALS = ('first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth '
            'seventeenth eighteenth nineteenth twentieth').split()
DOUBLED_FINALS = set('bdgmnprt')
NOT_DOUBLED = set('''answer cover deliver discover enter gather listen offer open order wander whisper wonder suffer remember consider develop
happen visit edit exhibit edit explain repair appear complain contain maintain obtain remain train rain fear repeat treat greet need load
cheer clear fail sail wait shout look cook hear demand'''.split())
PROPER_CATEGORIES = ('girl', 'boy', 'surname', 'city', 'country', 'nationality', 'day', 'month')
AN_EXCEPTIONS = ('hour', 'honest', 'honour')
A_EXCEPTIONS = ('uni', 'use', 'usu', 'euro', 'one', 'ewe')


def read_sections(path):
    """Lines of a file with [section] heads, as {section: [line, ...]}; comments start with '#'."""
    sections, current = collections.OrderedDict(), None
    for line in path.read_text(encoding='utf-8').splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        if line.startswith('['):
            current = sections.setdefault(line.strip('[]'), [])
        else:
            current.append(line)
    return sections


def plural(word):
    if '/' in word:
        return word.split('/')[1]
    if re.search(r'(s|x|z|ch|sh)$', word):
        return word + 'es'
    if re.search(r'[^aeiou]y$', word):
        return word[:-1] + 'ies'
    return word + 's'


def doubles_final(base):
    if base in NOT_DOUBLED or base[-1] not in DOUBLED_FINALS:
        return False
    return re.search(r'[^aeiou][aeiou][bdgmnprt]$', base) is not None and (len(base) <= 5 or base in ('admit', 'permit', 'submit', 'prefer', 'refer'))


def verb_form(entry, form):
    """`entry` is base or base/past/participle; `form` one of base, s, ing, past, pp."""
    parts = entry.split('/')
    base = parts[0]
    if form == 'base':
        return base
    if form == 's':
        return 'goes' if base == 'go' else plural(base)
    if form in ('past', 'pp') and len(parts) == 3:
        return parts[1 if form == 'past' else 2]
    ending = {'ing': 'ing', 'past': 'ed', 'pp': 'ed'}[form]
    if base in ('lie', 'tie', 'die') and form == 'ing':
        return base[:-2] + 'ying'
    if base == 'panic':
        return base + 'k' + ending
    if ending == 'ed' and re.search(r'[^aeiou]y$', base):
        return base[:-1] + 'ied'
    if base.endswith('e') and not (ending == 'ing' and base.endswith(('ee', 'oe', 'ye'))):
        return base[:-1] + ending
    if doubles_final(base):
        return base + base[-1] + ending
    return base + ending


def number_words(value):
    """English words of 0 <= value < 1,000,000, without hyphens: 'two hundred and five'."""
    assert 0 <= value < 1_000_000
    if value < 20:
        return ONES[value]
    if value < 100:
        return TENS[value // 10 - 2] + (' ' + ONES[value % 10] if value % 10 else '')
    if value < 1000:
        return ONES[value // 100] + ' hundred' + (' and ' + number_words(value % 100) if value % 100 else '')
    rest = value % 1000
    return number_words(value // 1000) + ' thousand' + (' ' + ('and ' if rest < 100 else '') + number_words(rest) if rest else '')


def with_articles(text):
    """'a' before a vowel sound becomes 'an'."""
    def article(match):
        following = match.group(3)
        low = following.lower()
        vowel = low[0] in 'aeiou' and not low.startswith(A_EXCEPTIONS) or low.startswith(AN_EXCEPTIONS)
        return match.group(1) + ('n' if vowel else '') + match.group(2) + following
    return re.sub(r"\b([Aa])( )([A-Za-z']+)", article, text)


@dataclasses.dataclass
class Language:
    """The grammar and the word pools that sentences are drawn from."""
    grammar: dict
    lexicon: dict
    common_words: list
    dictionary_words: list

    def pick(self, rng, symbol):
        """Expansion of `symbol` or `symbol.form`."""
        name, _, form = symbol.partition('.')
        special = getattr(self, 'make_' + name, None)
        if special:
            return special(rng)
        if name.endswith('_cap'):
            return capitalised(self.pick(rng, name[:-4]))
        if name == 'Vt':
            return capitalised(self.pick(rng, 'vt'))
        if name in self.grammar:
            productions, weights = self.grammar[name]
            chosen = rng.choices(productions, weights)[0]
            if form == 'pl' and '<' not in chosen:
                return plural(chosen)
            if form:
                chosen = re.sub(r'<(\w+)>', rf'<\1.{form}>', chosen)
            elif '/' in chosen:
                chosen = chosen.split('/')[0]
            return re.sub(r'<([\w.]+)>', lambda match: self.pick(rng, match.group(1)), chosen)
        entry = rng.choice(self.lexicon[name])
        if name in ('vt', 'vi'):
            return verb_form(entry, form or 'base')
        return (plural(entry) if form == 'pl' else entry.split('/')[0]).replace('_', ' ')

    def make_number(self, rng):
        top = rng.choice((13, 21, 100, 100, 1000, 1000, 100_000))
        return number_words(rng.randrange(2, top))

    def make_ordinal(self, rng):
        return rng.choice(ORDINALS + ['twenty ' + word for word in ORDINALS[:9]] + ['thirtieth', 'thirty first'])

    def make_digit(self, rng):
        return ONES[rng.randrange(1, 10)]

    def make_digits(self, rng):
        return ' '.join(ONES[rng.randrange(10)] for _ in range(rng.randrange(3, 9)))

    def make_tens_year(self, rng):
        return number_words(rng.randrange(10, 100))

    def make_animal_s_cap(self, rng):
        return capitalised(self.pick(rng, 'animal.pl'))

    def grammatical(self, rng):
        while True:
            text = capitalised(with_articles(self.pick(rng, 'sentence')))
            if len(text) <= SENTENCE_CHARACTERS_MAX:
                return text

    def random_words(self, rng, pool, count_max):
        """`1..count_max` words of the pool in any order, punctuated like a sentence."""
        words = [rng.choice(pool) for _ in range(rng.randrange(1, count_max + 1))]
        if len(words) > 4 and rng.random() < 0.25:
            words[rng.randrange(1, len(words) - 1)] += ','
        return capitalised(' '.join(words)) + ('?' if rng.random() < 0.05 else '.')

    def sentence(self, rng, kind):
        """One sentence of `kind`: 'grammar', 'common' (random lexicon words) or 'dictionary' (random words of a spelling dictionary)."""
        if kind == 'grammar':
            return self.grammatical(rng)
        if kind == 'common':
            return self.random_words(rng, self.common_words, 9)
        assert kind == 'dictionary'
        return self.random_words(rng, self.dictionary_words, 6)


def capitalised(text):
    return text[:1].upper() + text[1:]


def phonemes_of(words, voice):
    """espeak-ng's phoneme string of each word, one line each."""
    listing = '\n'.join(word + ' .\n' for word in words)
    done = subprocess.run(['espeak-ng', '-q', '-x', '-v', voice, '--stdin'], input=listing.encode(), capture_output=True, check=True)
    lines = [line.strip() for line in done.stdout.decode().splitlines() if line.strip()]
    assert len(lines) == len(words), f'expected {len(words)} phoneme lines, received {len(lines)}'
    return lines


def without_homophones(words, taken):
    """`words` less those that sound like an earlier one or like a word of `taken`: no listener could spell them."""
    both = list(dict.fromkeys(list(taken) + list(words)))
    keep, heard = set(both), {'en-us': {}, 'en-gb': {}}
    for voice, seen in heard.items():
        for word, sound in zip(both, phonemes_of(both, voice)):
            sound = re.sub("[',%=_|:]", '', sound)
            if seen.setdefault(sound, word) != word:
                keep.discard(word)
    first = set(taken)
    return [word for word in dict.fromkeys(words) if word in keep and word not in first]


def load_language(dictionary_path='/usr/share/dict/words'):
    """Reads lexicon.txt, grammar.txt and the system's word list (Debian package wamerican)."""
    lexicon = {name: ' '.join(lines).split() for name, lines in read_sections(HERE / 'lexicon.txt').items()}
    grammar = {}
    for name, lines in read_sections(HERE / 'grammar.txt').items():
        matches = [re.fullmatch(r'(?:(\d+)x )?(.*)', line) for line in lines]
        grammar[name] = ([match.group(2) for match in matches], [int(match.group(1) or 1) for match in matches])
    common = []
    for name, entries in lexicon.items():
        for entry in entries:
            if name in ('vt', 'vi'):
                common += [verb_form(entry, form) for form in ('base', 's', 'ing', 'past', 'pp')]
            elif name in ('person', 'animal', 'food', 'thing', 'place', 'idea', 'body', 'nature', 'vehicle'):
                common += [entry.split('/')[0], plural(entry)]
            else:
                common.append(entry.split('/')[0])
    common = [word for word in dict.fromkeys(common) if '_' not in word]
    lowered = {word.lower() for word in common if word[0].isupper()}
    common = [word for word in without_homophones(common, []) if word[0].isupper() or word not in lowered]
    listed = pathlib.Path(dictionary_path).read_text(encoding='utf-8').split()
    listed = [word for word in listed if re.fullmatch('[a-z]{3,11}', word) and word not in lowered]
    random.Random(7).shuffle(listed)
    listed = listed[:DICTIONARY_WORDS]
    return Language(grammar, lexicon, common, without_homophones(listed, common))


if __name__ == '__main__':
    language, rng = load_language(), random.Random(1)
    print(len(language.common_words), 'common words,', len(language.dictionary_words), 'dictionary words')
    for kind in ('grammar', 'common', 'dictionary'):
        print(*(language.sentence(rng, kind) for _ in range(40 if kind == 'grammar' else 6)), sep='\n')
