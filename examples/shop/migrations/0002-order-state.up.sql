-- Orders have a state. Only added to: the former version does not know the column.
alter table orders add column state text not null default 'paid' check (state in ('paid', 'sent', 'returned'));
create index orders_by_state on orders (state) where state <> 'sent';
