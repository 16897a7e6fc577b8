package notify

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// botToken matches a Telegram bot's token.
var botToken = regexp.MustCompile(`^[0-9]+:[A-Za-z0-9_-]{10,}$`)

// telegram is telegram://TOKEN@telegram?chats=@channel,-100123:7 for the channel of
// that name, and thread 7 of the group with that number. A host other than
// "telegram" is a Bot API server of one's own
// (https://core.telegram.org/bots/api#sendmessage).
func telegram(u *url.URL, o *options, by http.RoundTripper) (deliver, error) {
	password, _ := u.User.Password()
	token := u.User.Username() + ":" + password
	if !botToken.MatchString(token) {
		return nil, errors.New("its token is not as BotFather gives them, 123456:ABC…; write telegram://TOKEN@telegram?chats=@channel")
	}
	chats := o.list("chats", "channels")
	if len(chats) == 0 {
		return nil, errors.New("no chat; add ?chats=@channel, or the chat's number")
	}
	loud, err := o.flag(true, "notification")
	preview, failed := o.flag(false, "preview")
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	base := "https://api.telegram.org"
	if u.Host != "telegram" && u.Host != "" {
		base = cmp.Or(o.take("scheme"), "https") + "://" + u.Host + strings.TrimSuffix(u.Path, "/")
	}
	return post(by, func(m Message) (all []request) {
		for _, chat := range chats {
			body := map[string]any{"chat_id": chat, "text": m.Title + "\n" + m.Text, "disable_notification": !loud, "disable_web_page_preview": !preview}
			if id, thread, has := strings.Cut(chat, ":"); has {
				if n, err := strconv.Atoi(thread); err == nil {
					body["chat_id"], body["message_thread_id"] = id, n
				}
			}
			all = append(all, request{url: base + "/bot" + token + "/sendMessage", body: body, check: said})
		}
		return all
	}), nil
}

// slackToken matches the parts of a Slack token.
var slackToken = regexp.MustCompile(`^(?:(hook|xox.)[-:])?([A-Z0-9]{8,})([-/,])([A-Z0-9]{8,})([-/,])([A-Za-z0-9]{20,})$`)

// slack is slack://hook:T…-B…-…@webhook for an incoming webhook
// (https://api.slack.com/messaging/webhooks), or slack://xoxb:…@CHANNEL for a bot
// (https://api.slack.com/methods/chat.postMessage).
func slack(u *url.URL, _ *options, by http.RoundTripper) (deliver, error) {
	token := u.User.Username()
	if password, has := u.User.Password(); has {
		token += ":" + password
	}
	parts := slackToken.FindStringSubmatch(token)
	if parts == nil || u.Host == "" {
		return nil, errors.New("its token is not one of Slack's; write slack://hook:T…-B…-…@webhook for https://hooks.slack.com/services/T…/B…/…, or slack://xoxb:…@CHANNEL")
	}
	kind, key := cmp.Or(parts[1], "hook"), []string{parts[2], parts[4], parts[6]}
	plain := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;") // else they begin a link
	text := func(m Message) string { return "*" + plain.Replace(m.Title) + "*\n" + plain.Replace(m.Text) }
	if kind == "hook" {
		return post(by, func(m Message) []request {
			return []request{{url: "https://hooks.slack.com/services/" + strings.Join(key, "/"), body: map[string]any{"text": text(m)}}}
		}), nil
	}
	login := map[string]string{"Authorization": "Bearer " + kind + "-" + strings.Join(key, "-")}
	return post(by, func(m Message) []request {
		return []request{{url: "https://slack.com/api/chat.postMessage", header: login, body: map[string]any{"channel": u.Host, "text": text(m)}, check: said}}
	}), nil
}

// discord is discord://TOKEN@WEBHOOK_ID
// (https://discord.com/developers/docs/resources/webhook#execute-webhook).
func discord(u *url.URL, o *options, by http.RoundTripper) (deliver, error) {
	token, id, thread := u.User.Username(), u.Host, o.take("thread_id")
	if _, err := strconv.ParseUint(id, 10, 64); err != nil || token == "" {
		return nil, errors.New("it has to read discord://TOKEN@WEBHOOK_ID, of https://discord.com/api/webhooks/WEBHOOK_ID/TOKEN")
	}
	to := fmt.Sprintf("https://discord.com/api/webhooks/%s/%s", id, url.PathEscape(token))
	if thread != "" {
		to += "?thread_id=" + url.QueryEscape(thread)
	}
	return post(by, func(m Message) []request {
		return []request{{url: to, body: map[string]any{
			"content":          "**" + m.Title + "**\n" + m.Text,
			"allowed_mentions": map[string]any{"parse": []string{}}, // whatever stands in an error
		}}}
	}), nil
}
