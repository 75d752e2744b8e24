"""Blocks of the IPLD project's codec fixtures: a value and the CID that every implementation gives it.

The values are their own names there (github.com/ipld/codec-fixtures); bytes and hashes are facts. Fixtures with plain byte
strings are not here: this project's nodes have none, and refuse them.
"""

# ruff: noqa: E501  CIDs are as long as they are

import pytest

from storage import dag_cbor
from storage.cid import DAG_CBOR, DAG_PB, cid_text, make_cid, parse_cid
from storage.dag_pb import decode_node
from storage.errors import VerificationError

VALUES = [
    ([2], "bafyreihdb57fdysx5h35urvxz64ros7zvywshber7id6t6c6fek37jgyfe"),
    ([255], "bafyreick3uapgoe63rizj6rptbqwl7pagin26fos32n37fu7uktzcadcdu"),
    ([3, 4, 5, 6], "bafyreid7y3kwce6omkwi4ziyisf5v2niknzjwab2ofigddwm3bq4xlnovy"),
    (
        ["array", ["of", [5, ["nested", ["arrays", "!"]]]]],
        "bafyreihmxfmn5wcpzpiqa6zfefgabxmd2jzr2bd4y2v7c2ss4plkgkabgq",
    ),
    ([500], "bafyreidasbkb6vj3obxxqqgiz2ahvw7iaxmj446bbnrroj3jt6vzpo5fhm"),
    ([6433713753386423], "bafyreifflym5ibfezh3vwegpsh6hngjeczrjw35a7fsgsfqui4vgy2eawu"),
    ([65536], "bafyreiarke72vvg3sfs2nrpzpgnxs7dqcdu2e4ytixgo7snkyoq5w7oddu"),
    ([9007199254740991], "bafyreifjs6kz3aq24pywi7mdrizazmzdsvu3jtd7uut64lvj3mblk2byaa"),
    ([], "bafyreidwx2fvfdiaox32v2mnn6sxu3j4qoxeqcuenhtgrv5qv6litfnmoe"),
    (False, "bafyreibac77tiyjzkzzkucve6zejj7jpswslcihcnehisulfnv423qxo2i"),
    (-0.5, "bafyreidgf3tgrdkimspjianeb4i2ilrhwrd72drroivhom32cegkxisoay"),
    (-0.9999999999999999, "bafyreibmiakyxlz24yia56ipz27movs5zv6js456jvqhpyjluhycsitl34"),
    (-1.1, "bafyreibn43uo5yygsnzbdj6eey2mrcrmavhxgkzvgnmarkt3mo2efr4cfy"),
    (-1e-323, "bafyreibg2jfpbjanaowwfpoamj2tjpo2ifhy5fbkln55b5mlhfiy747egq"),
    (-8.940696716308594e-08, "bafyreideyqdtlnfu53gvyrlg7fsqrx5bk4v2lxmgwzfnfxi23wlyxm43ta"),
    (0.5, "bafyreifwqkffcpzsyfigri7xm2kaf6bz7si5stsnf46jep5w5we7ngmgma"),
    (0.9999999999999999, "bafyreigjp6bt6yhk2nxlvxhvy3mfoxs4sxslnnzzgbbxc2tailmnuic37i"),
    (1.1, "bafyreifeekgttrbqlvjqmvey2r7damal3kiqn5a6r7a2pijrx4jgdv5odi"),
    (1.1111111111111112, "bafyreifj6tfoswmsty24t4ittpwdnzaj6tka7637gdjrrly6q5msu6eooq"),
    (1e-323, "bafyreib6bigeneyagim45hjjzzn3ggyuthejspqqccplri2pmmek5bz2uq"),
    (8.940696716308594e-08, "bafyreie6fuw4lkhwfiljun5k4y5srv6io7rcf4r766amlxtmx3it2hwg2e"),
    (82497.63712086187, "bafyreibybbnywxrykhqdulrhywkofxds5tw5fye6geudy2us3pgw2ptgnm"),
    ([1, True, False, None, -1], "bafyreibqkv642umtthvkk4siz2x27eqwugyitsjsgbc65ffmtajiag4b64"),
    (-1, "bafyreibwvht7dsk3ql73tf2d4dc4jtuv3a6juqykvrm7qtxtzp5lmfcqna"),
    (-100, "bafyreiek7xrdy2ej7xqapz2iofeuwo4yl43xrklokxd3k5jwpkcmos4os4"),
    (-11959030306112471732, "bafyreieir43khjzemsmgahaozab2vjvtdxavszixhhurvdqg2xkhrwinyi"),
    (-256, "bafyreigdjo5suzljxlmtuj4eoohou6vadwznc4kkdfd4xsarc5sycz76oy"),
    (-2784428724, "bafyreiegsmviy5gqtupkwtz7d4driei2jzbf4tg3yldpc6ralqjukiywru"),
    (-3, "bafyreiekgmp53zydf4z2ohq3fysx3aawny2i4ah4wf4rj5el3nl2drrqa4"),
    (-501, "bafyreigwygio7woulumjyyylkawalinrei75k3ejc47mcnbnh2voqfikoy"),
    (-6433713753386424, "bafyreickfy6hbb7xz6eiervs4n3jkmnzc2ndbh4flg2jmbz4whoflbdbnm"),
    (-9007199254740991, "bafyreifyx757rmvmwx42wig6lkhgpe2hikvsfu5d7ru55fyhugqoq2leii"),
    (-9007199254740992, "bafyreictwassa7oj2p67275p5xztivqa3zcspn3zrilgohy3jwrv43klkm"),
    (-9007199254740993, "bafyreicb5jhmhsjiazef7gbina6ozd2er7jugqaapmhvbhvubjc6ech2ie"),
    (-9223372036854775808, "bafyreidh4mvwi7pnv62beigtnibakkxpsgjzua5g7kdvu2deltah6kigay"),
    (0, "bafyreidogqfzz75tpkmjzjke425xqcrmpcib2p5tg44hnbirumdbpl5adu"),
    (1000000, "bafyreiglx3aucayuplysf7vp6jazvwef2nznas75tufpc4kn2ig76jfw4m"),
    (11959030306112471731, "bafyreifystp4hw2d3psdtqoairwnsl4mmb2hyupopdp7wxvrxul2cdadbe"),
    (18446744073709551615, "bafyreibnpsyje7iwfx3smzlnofkxqdyeqz3a4qzhwu33ktibq7sxeckrpq"),
    (2, "bafyreig3yg2msah74sgvow25uxddqbabex3f3mh6hysess3w5kmgiv6zqy"),
    (255, "bafyreih4vluto2froiw457akazzjhcfm7y22juemxx6jsyyjufp227tcv4"),
    (2784428723, "bafyreiga5hy6mxnej7eankwq2zi7echorwp7wfkoeto6l3262rxn24r65m"),
    (500, "bafyreifvxhnllfzufgihevzlj62j34nmzrlzfdjb5pwyqe5675meqi6o7q"),
    (6433713753386423, "bafyreie2fdkdrtj4mmdpcryivf4uuvirpz6ehzgmt2w2ks6s6qsrlj4k3a"),
    (65535, "bafyreicft66te6utk6chakwkgyqxirmsh6dzjyi34c4kf2pzwpvjxaaose"),
    (65536, "bafyreibjfaasdb7qgrdnd2pmg7noltevqzswyif5nyup6sktdanzgpft6a"),
    (9007199254740991, "bafyreiau6uboriydiauixhnjr3kv3hzdbsfjf3uggnqzrx3ndnhcpdz5dy"),
    (9223372036854775807, "bafyreih2npqkh2altk6fydcmxj4kibc6qj5p44r7jnktdw22txixdi2qli"),
    ({"a": 1}, "bafyreihltcnuuyqp2jm24aqydpnlj7b6w3ogwrplomrjtg5rifv44mmjey"),
    ({"1": "a"}, "bafyreierz7t5y4xa635mndfb2i7wu2zxzfnpl6xvg5wr2kxeambtrgvsuy"),
    ({}, "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"),
    (
        {"f": 1, "ee": 2, "ddd": 3, "cccc": 4, "bbbbb": 5, "aaaaaa": 6, "aaaaab": 7, "aaaaac": 8, "aaaabb": 9},
        "bafyreifzcy56s5jog3scrc7c3rlaohrwu3recxgf5c7fddfjlnlhh6p6p4",
    ),
    (
        {"object": {"with": {"4": "nested", "objects": {"!": "!"}}}},
        "bafyreib7zq4mhl7fwtmftjn7d7mmlwf6gi32vimlsjkn25w2e5xlhz2deu",
    ),
    (None, "bafyreifqwkmiw256ojf2zws6tzjeonw6bpd5vza4i22ccpcq4hjv2ts7cm"),
    ("Hello world!", "bafyreigmgu7icw3p3lf3prtti7x3o7vsc6e5peltjinsa7zni2axvlz5cm"),
    ("a", "bafyreiewdnw5h3pdzohmxkwl22g6aqgnpdvs5vmiseymz22mjeti5jgvay"),
    ("", "bafyreiengp2sbi6ez34a2jctv34bwyjl7yoliteleaswgcwtqzrhmpyt2m"),
    ("Čaues ßvěte!", "bafyreigxqkzjak6m4vnenitdpwfryihbvy3wotdle2ldsfgkebeh56ruda"),
    ("水", "bafyreib4565nbj4j6mklcrwjqgdv3uw4i6fr5dqb4dpqcqtsgrzeyg7hmm"),
    ("𐅑", "bafyreihgpl6u5kyypvntwaijdv7wxeiuugo6ruujt652eigmp27zarclam"),
    (True, "bafyreibhvppn37ufanewvxvwendgzksh3jpwhk6sxrx2dh3m7s3t5t7noa"),
]

LINKS = {
    "QmQg1v4o9xdT3Q14wh4S7dxZkDjyZ9ssFzFzyep1YrVJBY": "bafyreidsrf4agofvag5iiksjc7jjehhdcjqggra7cxe3m2movopc7pomr4",
    "QmRgutAxd8t7oGkSm4wmeuByG6M51wcTso6cubDdQtuEfL": "bafyreidfkreyekhbpfbbau3o4aakvxk6ninfo7baileo7ezgjiunk66er4",
    "QmXg9Pp2ytZ14xgmQjYEiHjVjMFXzCVVEcRTWJBmLgR39V": "bafyreidqpmseqxbqp3fwb256fmqg4glepd4wfn5ubei7jlcvxpfy7bshge",
    "bafkqabiaaebagba": "bafyreihm764rs4lirtozq4d5d4pqext5b5akh6val7cyphu4aglvpha3xm",
    "bafkreiebzrnroamgos2adnbpgw5apo3z4iishhbdx77gldnbk57d4zdio4": "bafyreic3yrxqeqgoi24fo3h43nfkfs4cntcx243g3lzv3n2hnmcm5ksnzu",
    "bafkreifw7plhl6mofk6sfvhnfh64qmkq73oeqwl6sloru6rehaoujituke": "bafyreicsrmbdimdekusleiafgsuwpsvijhmqtecucyxysgcftnptepbb2m",
    "bafyreidj5idub6mapiupjwjsyyxhyhedxycv4vihfsicm2vt46o7morwlm": "bafyreihfnilmqbnwzcmqrspmmyik5qdocjdrf3rnkuxb2aanrh2qycf6wy",
    "bafyreiejkvsvdq4smz44yuwhfymcuvqzavveoj2at3utujwqlllspsqr6q": "bafyreif4kmuaiu3fuqmdkb6e7vfdz7x6c2sqjybc5bz3l6b2vnj5e5xjl4",
    "bagcqcera73rupyla6bauseyk75rslfys3st25spm75ykhvgusqvv2zfqtucq": "bafyreidvvetydwcmpvymr34rqmz6cu4yhi7jluds6n5yyyqdllssa4jcom",
    "bagyacvradn6dsgl6sw2jwoh7s3d37hq5wsu7g22wtdwnmaaaaaaaaaaaaaaa": "bafyreicwwufftyxxvvbolsj2svwvc3zzo7u23j2hz27edffxzazlhistjy",
    "bagyqcvraypzcitp3hsbtyyxhfyc3p7i3226lullm2rkzqsqqlhnxus7tqnea": "bafyreigyego6qj7uxt5dtmpznwi3mtwz7l5hf7m3udmsvkd2ps2gbmjzs4",
    "bahaacvrabdhd3fzrwaambazyivoiustl2bo2c3rgweo2ug4rogcoz2apaqaa": "bafyreias54gwjsb5z4v3amftdd5h6ufcpuk3zci7klphqoyyjmv52g4uie",
    "bahaacvrasyauh7rmlyrmyc7qzvktjv7x6q2h6ttvei6qon43tl3riaaaaaaa": "bafyreiboefkuukdnjhy5sy2ekybhp73yheoy3uj5n36hal6tckhflmp2ye",
    "z8mWaJ1dZ9fH5EetPuRsj8jj26pXsgpsr": "bafyreiemoe3mh3uanvjypqyrousnwapnluxnmt5lorlhzguj5nvmgjdthi",
    "zdj7Wd8AMwqnhJGQCbFxBVodGSBG84TM7Hs1rcJuQMwTyfEDS": "bafyreicrcxd4oefvax3uw7gshyen7bbj2vno3drylsnp3int5p6wdesoqq",
    "zdpuAtX7ZibcWdSKQwiDCkPjWwRvtcKCPku9H7LhgA4qJW4Wk": "bafyreib6okxebjb65dd5i7nu2johcro6wpxxxvt5ykuusyky7763w2ypnq",
}

LINK = "0a09015500050001020304"
"""A link to five bytes that its CID holds itself, as the fixtures of DAG-PB have it."""
PB_BLOCKS = {
    "empty": ("", "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"),
    "data, none": ("0a00", "bafybeiaqfni3s5s2k2r6rgpxz4hohdsskh44ka5tk6ztbjerqpvxwfkwaq"),
    "data": ("0a050001020304", "bafybeibazl2z4vqp2tmwcfag6wirmtpnomxknqcgrauj7m2yisrz3qjbom"),
    "link": (f"120b{LINK}", "bafybeia53f5n75ituvc3yupuf7tdnxf6fqetrmo2alc6g6iljkmk7ys5mm"),
    "link, name": (f"1216{LINK}1209736f6d65206e616d65", "bafybeifq4hcxma3kjljrpxtunnljtc6tvbkgsy3vldyfpfbx2lij76niyu"),
    "link, empty name": (f"120d{LINK}1200", "bafybeie7fstnkm4yshfwnmpp7d3mlh4f4okmk7a54d6c3ffr755q7qzk44"),
    "link, size": (f"1214{LINK}18ffffffffffffff0f", "bafybeiezymjvhwfuharanxmzxwuomzjjuzqjewjolr4phaiyp6l7qfwo64"),
    "link, no size": (f"120d{LINK}1800", "bafybeichjs5otecmbvwh5azdr4jc45mp2qcofh2fr54wjdxhz4znahod2i"),
    "two of one name": (
        f"120e{LINK}120161120e{LINK}120161", "bafybeieube7zxmzoc5bgttub2aqofi6xdzimv5munkjseeqccn36a6v6j4"
    ),
}  # fmt: skip
NO_PB_BLOCKS = {
    "link without CID": "1200",
    "data, then a link without CID": "12000a050001020304",
    "link with an empty CID": "12020a00",
    "link of a name": "120b1209736f6d65206e616d65",
    "link of a size": "120318f207",
    "data between links": f"120b{LINK}0a0408021806120b{LINK}",
}


@pytest.mark.parametrize(("value", "cid"), VALUES, ids=[repr(value)[:30] for value, _ in VALUES])
def test_a_value_has_the_cid_that_all_give_it(value, cid):
    block = dag_cbor.encode(value)
    assert cid_text(make_cid(DAG_CBOR, block)) == cid
    found = dag_cbor.decode(block)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("link", LINKS)
def test_a_node_may_be_a_link_of_any_codec_and_hash(link):
    block = dag_cbor.encode(parse_cid(link))
    assert cid_text(make_cid(DAG_CBOR, block)) == LINKS[link]
    assert dag_cbor.decode(block) == parse_cid(link)


@pytest.mark.parametrize("block", ["a3636261720363666f6f0163666f6f02", "40", "41a1", "8140"])
def test_repeated_keys_and_plain_byte_strings_are_refused(block):
    with pytest.raises(VerificationError):
        dag_cbor.decode(bytes.fromhex(block))


@pytest.mark.parametrize("name", PB_BLOCKS)
def test_dag_pb_blocks_are_read(name):
    block, cid = bytes.fromhex(PB_BLOCKS[name][0]), PB_BLOCKS[name][1]
    assert cid_text(make_cid(DAG_PB, block)) == cid
    node = decode_node(block)
    assert len(node.links) == name.count("link") + 2 * name.startswith("two")
    assert (node.data is not None) == name.startswith("data")


@pytest.mark.parametrize("name", NO_PB_BLOCKS)
def test_what_is_no_dag_pb_is_refused(name):
    with pytest.raises(VerificationError):
        decode_node(bytes.fromhex(NO_PB_BLOCKS[name]))
