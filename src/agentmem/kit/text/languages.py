"""Facts about languages that text analysis needs: stop words of several, and the irregular forms of English.

Stop words are stored the way :mod:`agentmem.kit.text.analyse` folds text: lower case, no diacritics, no apostrophes.
"""

from __future__ import annotations

from typing import Final

# The words that carry a sentence's grammar, not its topic: articles, pronouns, auxiliaries, prepositions, conjunctions,
# question words, and the contractions of them.
ENGLISH_STOP: Final = frozenset(
    """
a about above after again against all also am an and any are aren as at be because been before being below between
both but by can cannot cant could couldn couldnt d did didn didnt do does doesn doesnt doing don dont done down during
each either else etc ever every few for from further get gets getting got had hadn hadnt has hasn hasnt have haven
havent having he her here hers herself hes him himself his how however i id if ill im in into is isn isnt it its
itself ive just let lets like ll m many may me might mightn mine more most much must mustn my myself need needn
neither no nor not now o of off oh ok okay on once one only onto or other others our ours ourselves out over own per
quite rather re really s same shall shan she shes should shouldn shouldnt so some such t than that thats the their
theirs them themselves then there theres these they theyre theyve this those though through thus till to too under
until up upon us ve very via was wasn wasnt we well were weren werent what whatever whats when where which while who
whom whose why will with within without wont would wouldn wouldnt yes yet you youd youll your youre yours yourself
yourselves youve
""".split()
)

# Enough of each language to recognise it by, and to keep its grammar out of the index.
OTHER_STOP: Final[dict[str, frozenset[str]]] = {
    "spanish": frozenset(
        """
a al algo ante antes aunque cada como con contra cual cuando cuanto de del desde donde dos e el ella ellas ellos en
entre era es esa ese eso esta estaba estan estar este esto estoy fue ha haber hace han hasta hay he la las le les lo
los mas me mi mis mucho muy nada ni no nos nosotros nuestra nuestro o os otra otro para pero poco por porque que quien
se ser si sido sin sobre son soy su sus tambien te tengo tiene tienen todo todos tu tus un una uno unos usted y ya yo
""".split()
    ),
    "french": frozenset(
        """
a ai aussi au aux avec avez avons c ce ces cet cette comme d dans de des du elle elles en est et etaient etait etes
etre eu fait il ils j je jai l la le les leur leurs lui m ma mais me meme mes moi mon n ne nos notre nous on ont ou
par pas plus pour qu quand que quel quelle qui quoi s sa sans se ses si son sont suis sur t ta te tes toi ton tous
tout tres tu un une vos votre vous y
""".split()
    ),
    "german": frozenset(
        """
aber alle als am an auch auf aus bei bin bis bist da damit dann das dass dein deine dem den der des dich die dies
diese dieser dir doch dort du durch ein eine einem einen einer eines er es etwas euch euer fur habe haben hat hatte
hier hinter ich ihm ihn ihr ihre im in ins ist ja jede jeder jetzt kann kein keine konnen man mein meine mich mir mit
muss nach nicht noch nun nur ob oder ohne sehr sein seine sich sie sind so uber um und uns unser unter vom von vor war
waren warum was weil welche wenn wer werde werden wie wieder will wir wird wo zu zum zur zwischen
""".split()
    ),
    "italian": frozenset(
        """
a ad ai al alla alle anche avevo c che chi ci come con cosa cui da dal dalla degli dei del della delle di dopo dove e
ed era erano essere fa gli ha hai hanno ho i il in io l la le lei li lo loro lui ma me mi mia mio molto ne nel nella
noi non nostro o ogni per perche piu po quale quando quanto quella quello questa questo se sei si sia siamo sono sta
stato su sua sulla suo ti tra tu tuo tutti tutto un una uno vi voi
""".split()
    ),
    "portuguese": frozenset(
        """
a ao aos as ate com como da das de dela dele depois do dos e ela elas ele eles em entre era essa esse esta estava este
eu foi foram ha isso ja lhe mais mas me mesmo meu meus minha muito na nao nas nem no nos nossa nosso num numa o onde
os ou para pela pelo por porque qual quando que quem sao se sem ser seu seus so sou sua suas tambem te tem tenho tinha
tu um uma voce voces
""".split()
    ),
    "dutch": frozenset(
        """
aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen geweest
haar had heb hebben heeft hem het hier hij hoe hun iemand iets ik in is ja je kan kon maar me meer men met mij mijn
moet na naar niet niets nog nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van veel voor
want waren was wat werd wezen wie wil worden wordt zal ze zelf zich zij zijn zo zonder zou
""".split()
    ),
    "swedish": frozenset(
        """
alla att av bara blev bli den denna det detta dig din du efter ej eller en ett for fran ha hade han har hon hur i icke
ingen inte jag kan kunde man med mellan men mig min mot mycket nar nu och om oss pa sa sedan sig sin ska skulle som
till ut utan vad var vara vi vid vilken
""".split()
    ),
    "russian": frozenset(
        """
а без более бы был была были было быть в вам вас весь во вот все всех вы где да даже для до его ее если есть еще же за
и из или им их к как когда кто ли меня мне может мой моя мы на над нам нас не него нее ней нет ни них но ну о об он
она они от очень по под после при с со так там тебя тем то того тоже только том ты у уже что чтобы эта эти это этот я
""".split()
    ),
}

CHINESE_STOP: Final = frozenset(
    """
的 了 是 我 你 他 她 它 们 我们 你们 他们 她们 它们 在 有 和 与 及 或 也 都 就 还 又 很 太 这
那 这个 那个 这些 那些 一 一个 一些 个 不 没 没有 吗 呢 吧 啊 呀 哦 嗯 着 过 得 地 把 被 让 给
对 从 到 向 为 以 于 之 其 而 且 但 但是 因为 所以 如果 虽然 什么 怎么 怎样 哪 哪里 哪儿 哪个 谁
几 多少 为什么 时候 什么时候 何时 会 能 可以 要 想 说 去 来 上 下 里 中 跟 等 并 很多 非常 自己
咱们 您
""".split()
)

# Forms that a suffix stripper cannot bring together with the word they belong to.
IRREGULAR: Final[dict[str, str]] = {
    form: base
    for base, forms in {
        "arise": "arose arisen",
        "awake": "awoke awoken",
        "bear": "bore borne",
        "beat": "beaten",
        "become": "became",
        "begin": "began begun",
        "bend": "bent",
        "bite": "bit bitten",
        "bleed": "bled",
        "blow": "blew blown",
        "break": "broke broken",
        "breed": "bred",
        "bring": "brought",
        "build": "built",
        "burn": "burnt",
        "buy": "bought",
        "catch": "caught",
        "child": "children",
        "choose": "chose chosen",
        "come": "came",
        "deal": "dealt",
        "dig": "dug",
        "draw": "drew drawn",
        "dream": "dreamt",
        "drink": "drank drunk",
        "drive": "drove driven",
        "eat": "ate eaten",
        "fall": "fell fallen",
        "feed": "fed",
        "feel": "felt",
        "fight": "fought",
        "find": "found",
        "fly": "flew flown",
        "foot": "feet",
        "forbid": "forbade forbidden",
        "forget": "forgot forgotten",
        "forgive": "forgave forgiven",
        "freeze": "froze frozen",
        "give": "gave given",
        "go": "went gone",
        "goose": "geese",
        "grow": "grew grown",
        "half": "halves",
        "hang": "hung",
        "hear": "heard",
        "hide": "hid hidden",
        "hold": "held",
        "keep": "kept",
        "knife": "knives",
        "know": "knew known",
        "lay": "laid",
        "lead": "led",
        "leaf": "leaves",
        "lend": "lent",
        "life": "lives",
        "lose": "lost",
        "make": "made",
        "man": "men",
        "mean": "meant",
        "meet": "met",
        "mouse": "mice",
        "pay": "paid",
        "person": "people",
        "ride": "rode ridden",
        "ring": "rang rung",
        "rise": "rose risen",
        "run": "ran",
        "say": "said",
        "see": "saw seen",
        "seek": "sought",
        "sell": "sold",
        "send": "sent",
        "shake": "shook shaken",
        "shoot": "shot",
        "show": "shown",
        "sing": "sang sung",
        "sit": "sat",
        "sleep": "slept",
        "slide": "slid",
        "speak": "spoke spoken",
        "spend": "spent",
        "stand": "stood",
        "steal": "stole stolen",
        "stick": "stuck",
        "strike": "struck",
        "sweep": "swept",
        "swim": "swam swum",
        "take": "took taken",
        "teach": "taught",
        "tear": "tore torn",
        "tell": "told",
        "think": "thought",
        "throw": "threw thrown",
        "tooth": "teeth",
        "understand": "understood",
        "wake": "woke woken",
        "wear": "wore worn",
        "weave": "wove woven",
        "wife": "wives",
        "win": "won",
        "wolf": "wolves",
        "woman": "women",
        "write": "wrote written",
    }.items()
    for form in forms.split()
}
